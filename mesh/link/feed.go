package link

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"lyceum/mesh/media"
	"lyceum/mesh/relay"
	"lyceum/mesh/wire"
)

// ErrRefused is the error of a subscription that the parent refused.
var ErrRefused = errors.New("the parent refused the subscription")

const (
	// orphanLimit is how long a track without a way home passes for live: long enough for another parent or a new home,
	// short enough for students to be told.
	orphanLimit = 10 * time.Second
	// maxRedirects bounds how often a subscription is sent on before the router is asked again.
	maxRedirects = 4
	// keepUnwanted is how long a layer flows on that nobody wants any more: students whose bandwidth varies around the
	// need of a layer leave and come back every few seconds, and each time would cost a replay.
	keepUnwanted = 10 * time.Second
	// settled is how long the router must name a better parent before a parent that works is left for it.
	settled = 2 * time.Second
	// avoidFailed is how long a node that has failed this track is not asked again, unless there is no other. Gossip takes
	// some 7 s to notice a crash, and a node that is better but dead costs nothing but an attempt.
	avoidFailed = 5 * time.Second
	// overlapLimit is how long a new parent may take to catch up with the old one.
	overlapLimit = 10 * time.Second
	// overlapPoll is how often it is looked whether it has.
	overlapPoll = 10 * time.Millisecond
	// afterglow is how long what an old parent has under way is still taken.
	afterglow = time.Second
	// standbyPause is the time between two attempts to find a standby.
	standbyPause = 2 * time.Second
)

// feed keeps one track fed. Each turn it looks at all that may have changed and brings its pulls in line with it.
type feed struct {
	// Set by Feed, never changed.
	links *Links
	track *relay.Track
	room  string

	// Owned by run.
	epoch     uint64  // that the pulls are for, 0 while there are none
	parent    *pull   // nil for none
	next      *pull   // becomes the parent when it has caught up
	standby   *pull   // takes the place of a parent that fails
	retired   []*pull // have been left a moment ago
	source    uint32  // the source that a parent started last; 0 for none
	wants     media.LayerSet
	unwanted  [media.MaxLayers]time.Time // since when nobody wants a layer of wants; zero if somebody does
	keyframes media.LayerSet             // to be asked for
	failed    map[string]time.Time       // the nodes that have failed this track lately, and until when they are avoided
	redirects []string                   // to be asked instead of the router's answer
	hops      int                        // redirects that were followed in a row
	wait      *backoff
	heard     <-chan struct{} // the router's last news

	// Times at which something is to be done; zero for never.
	due       time.Time // the next turn at the latest
	retry     time.Time // there is no parent before
	orphan    time.Time // the track has been without a way home for long
	moved     time.Time // since when the router names another parent
	nextTry   time.Time
	standbyAt time.Time
}

// Feed keeps a track fed until ctx is done: it subscribes at the node that the router names, and again after every error,
// redirect or change of the way. It is the relay.Feeder of the hub that Run was given.
func (l *Links) Feed(ctx context.Context, t *relay.Track) {
	select {
	case <-l.started:
	case <-ctx.Done():
		return
	}
	f := &feed{links: l, track: t, room: t.ID().Room, wait: newBackoff(), failed: map[string]time.Time{}}
	defer l.ways.drop(t)
	f.run(ctx)
}

func (f *feed) run(ctx context.Context) {
	defer f.leave()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		changed := f.links.router.Changed()
		now := time.Now()
		f.due = now.Add(time.Hour)
		if changed != f.heard {
			f.heard, f.retry = changed, time.Time{}
		}
		f.turn(ctx, now)
		timer.Reset(f.due.Sub(now))
		demands := f.track.Demands()
		if f.epoch == 0 {
			demands = nil // a publisher here may be the one to heed it
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-timer.C:
		case <-demands:
		case <-f.parent.dialed():
		case <-f.parent.news():
		case <-f.parent.ended():
		case <-f.parent.leaving():
		case <-f.next.dialed():
		case <-f.next.news():
		case <-f.next.ended():
		case <-f.standby.dialed():
		case <-f.standby.news():
		case <-f.standby.ended():
		}
	}
}

// at makes sure that there is a turn at some time.
func (f *feed) at(t time.Time) {
	if !t.IsZero() && t.Before(f.due) {
		f.due = t
	}
}

// past reports whether a time has come, and makes sure of a turn if it is still to come.
func (f *feed) past(t, now time.Time) bool {
	if now.Before(t) {
		f.at(t)
		return false
	}
	return true
}

func (f *feed) turn(ctx context.Context, now time.Time) {
	f.demand(now)
	f.examine(ctx, now)
	hop, err := f.links.router.Next(f.track.ID(), f.avoid(now))
	switch {
	case err != nil:
		f.leave()
		f.lost(now)
	case hop.Self:
		f.leave()
		f.home()
	default:
		if hop.Epoch != f.epoch {
			f.leave()
			f.epoch = hop.Epoch
			f.demand(now)
		}
		f.choose(hop, now)
		f.reparent(hop, now)
		f.keepStandby(hop, now)
		f.tell()
		f.heed(now)
	}
	if !f.orphan.IsZero() && f.past(f.orphan, now) {
		f.orphan = time.Time{}
		if f.parent != nil && f.parent.in != nil {
			f.parent.in.orphan()
		} else {
			f.track.End(f.source)
		}
	}
}

// home makes way for a publisher here.
func (f *feed) home() {
	f.orphan = time.Time{}
	f.track.End(f.source)
	f.source = 0
	f.track.SetHops(0)
	f.links.ways.set(f.track, nil, true)
}

// lost notes that the way home is not known.
func (f *feed) lost(now time.Time) {
	if w, _ := f.links.ways.look(f.track); w.known {
		f.orphan = now.Add(orphanLimit)
	}
	f.links.ways.set(f.track, nil, false)
}

// leave ends all pulls.
func (f *feed) leave() {
	f.drop(&f.parent)
	f.drop(&f.next)
	f.drop(&f.standby)
	for _, p := range f.retired {
		p.close()
	}
	f.retired, f.epoch, f.redirects = nil, 0, nil
	f.moved, f.retry = time.Time{}, time.Time{}
}

// drop ends a pull.
func (f *feed) drop(p **pull) {
	if *p == nil {
		return
	}
	if (*p).leads {
		f.yield(*p)
	}
	(*p).close()
	*p = nil
}

func (f *feed) yield(p *pull) {
	if source, ok := p.yield(); ok {
		f.source = source
	}
}

// retire leaves a pull that works: what it has under way is taken for a moment more.
func (f *feed) retire(p *pull, now time.Time) {
	if p == nil || p.in == nil {
		return
	}
	p.active = false
	p.in.update(0, true, [media.MaxLayers]uint64{})
	p.expires = now.Add(afterglow)
	f.at(p.expires)
	f.retired = append(f.retired, p)
}

// begin starts a pull.
func (f *feed) begin(node, named string, active bool, now time.Time) *pull {
	f.retired = slices.DeleteFunc(f.retired, func(p *pull) bool {
		if p.node == node {
			p.close()
		}
		return p.node == node
	})
	p := &pull{node: node, named: named, active: active, began: now}
	p.dial, p.err = f.links.dial(node)
	f.at(now) // a link that is there is used in the next turn, which follows at once
	return p
}

// demand takes over what the readers of the track want. What nobody wants any more is kept for a while.
func (f *feed) demand(now time.Time) {
	if f.epoch == 0 {
		return
	}
	d := f.track.TakeDemand()
	f.keyframes |= d.Keyframes
	stop := media.AllLayers &^ f.wants
	for l := range f.wants.All() {
		switch since := f.unwanted[l]; {
		case d.Layers.Has(l):
			f.unwanted[l] = time.Time{}
		case since.IsZero():
			f.unwanted[l] = now
			f.at(now.Add(keepUnwanted))
		case f.past(since.Add(keepUnwanted), now):
			stop, f.unwanted[l] = stop.Add(l), time.Time{}
		}
	}
	f.wants = f.wants&^f.track.Cut(stop&^d.Layers) | d.Layers
}

// examine looks what has become of the pulls.
func (f *feed) examine(ctx context.Context, now time.Time) {
	if f.parent != nil {
		if err := f.check(f.parent, now); err != nil {
			f.parentFailed(ctx, err, now)
		}
	}
	if f.next != nil {
		err := f.check(f.next, now)
		if err == nil && f.past(f.next.began.Add(overlapLimit), now) {
			err = errors.New("it did not catch up")
			f.failed[f.next.node] = now.Add(avoidFailed)
		}
		if err != nil {
			f.nextFailed(ctx, err, now)
		}
	}
	if f.standby != nil {
		if err := f.check(f.standby, now); err != nil {
			f.log(ctx, slog.LevelDebug, "standby ended", f.standby.node, err)
			f.standbyAt = now.Add(standbyPause)
			f.drop(&f.standby)
		}
	}
	f.retired = slices.DeleteFunc(f.retired, func(p *pull) bool {
		over := p.in.up.ctx.Err() != nil || f.past(p.expires, now)
		if over {
			p.close()
		}
		return over
	})
}

// check is pull.check; a node that could not be reached is avoided.
func (f *feed) check(p *pull, now time.Time) error {
	due, err := p.check(f, now)
	f.at(due)
	if err == nil {
		return nil
	}
	if p.in == nil || p.in.up.ctx.Err() != nil && !errors.Is(p.in.up.why(), errRestarted) {
		f.failed[p.node] = now.Add(avoidFailed)
	}
	return err
}

// parentFailed ends the parent and says when another one may be tried that does not stand by.
func (f *feed) parentFailed(ctx context.Context, err error, now time.Time) {
	p := f.parent
	level := slog.LevelDebug // it is tried again and again
	if now.Sub(p.began) > stable {
		level = slog.LevelInfo
		f.wait.reset()
	}
	f.drop(&f.parent)
	if nodes := f.instead(err); len(nodes) > 0 && f.hops < maxRedirects {
		f.hops++
		f.redirects = nodes
		return
	}
	f.hops = 0
	f.log(ctx, level, "subscription ended", p.node, err)
	f.retry = now.Add(f.wait.take())
}

func (f *feed) log(ctx context.Context, level slog.Level, what, node string, err error) {
	f.links.log.Log(ctx, level, what, "room", f.room, "track", f.track.ID().Name, "node", node, "err", err)
}

// avoid lists the nodes that the router should not name.
func (f *feed) avoid(now time.Time) (list []string) {
	for node, until := range f.failed {
		if f.past(until, now) {
			delete(f.failed, node)
		} else {
			list = append(list, node)
		}
	}
	if f.parentLeaves() {
		list = append(list, f.parent.node)
	}
	return list
}

// parentLeaves reports whether the parent is about to leave and others can take its place: there is none for a home.
func (f *feed) parentLeaves() bool {
	s, ok := f.parent.stands()
	return ok && f.parent.left() && !(s.Known && s.Hops == 0)
}

// choose finds a parent when there is none: one that is about to catch up, the one that stands by, or the router's.
func (f *feed) choose(hop Hop, now time.Time) {
	if p := f.parent; p != nil && p.named != hop.Node {
		if _, ok := p.stands(); !ok {
			f.drop(&f.parent) // it has not answered yet, and may be dead
			f.retry, f.redirects = time.Time{}, nil
		}
	}
	if f.parent != nil {
		return
	}
	switch {
	case len(f.redirects) == 0 && f.next != nil && f.next.in != nil:
		f.promote(&f.next)
		f.links.metrics.replaced.Inc()
	case len(f.redirects) == 0 && f.standby != nil && (f.standby.ready() || f.standby.node == hop.Node):
		f.standby.activate(f, now)
		f.promote(&f.standby)
		f.links.metrics.replaced.Inc()
	case len(f.redirects) > 0 || f.past(f.retry, now):
		node := hop.Node
		if len(f.redirects) > 0 {
			node, f.redirects = f.redirects[0], f.redirects[1:]
		}
		f.parent = f.begin(node, hop.Node, true, now)
		f.parent.lead(f.source)
	}
}

// promote makes a pull the parent.
func (f *feed) promote(p **pull) {
	f.parent, *p = *p, nil
	f.parent.lead(f.source)
	f.moved, f.retry = time.Time{}, time.Time{}
}

// reparent goes over to a better parent, or away from one that will leave, without a gap: the old one goes on until the
// new one has caught up.
func (f *feed) reparent(hop Hop, now time.Time) {
	if f.parent == nil {
		return
	}
	leaves := f.parentLeaves()
	if f.parent.named == hop.Node && !leaves && !f.strayed(hop, now) {
		f.drop(&f.next)
		f.moved = time.Time{}
		return
	}
	if f.moved.IsZero() {
		f.moved = now
	}
	switch {
	case f.next != nil && f.next.caughtUp(f.track, f.wants, now):
		old := f.parent
		f.yield(old)
		f.promote(&f.next)
		f.links.metrics.reparented.Inc()
		f.retire(old, now)
	case f.next != nil:
		f.at(now.Add(overlapPoll))
	case leaves && f.standby.ready():
		f.overlap(&f.standby, now)
	case !leaves && !f.past(f.moved.Add(settled), now), !f.past(f.nextTry, now):
	case f.standby != nil && f.standby.node == hop.Node && f.standby.in != nil:
		f.overlap(&f.standby, now)
	default:
		if node := f.elsewhere(hop); node != "" {
			f.next = f.begin(node, hop.Node, true, now)
		}
	}
}

// overlap begins to go over to a node that stands by.
func (f *feed) overlap(p **pull, now time.Time) {
	f.next, *p = *p, nil
	f.next.began = now
	f.next.activate(f, now)
	f.at(now.Add(overlapPoll))
}

// keepStandby keeps a standby for what somebody watches. A node that only stands by for others needs none: standbys would
// spread over the mesh.
func (f *feed) keepStandby(hop Hop, now time.Time) {
	if _, ok := f.parent.stands(); !ok || f.next != nil {
		return // one thing after the other
	}
	want := hop.Standby
	switch {
	case f.wants == 0, want == "", want == f.links.cfg.Node:
		f.drop(&f.standby)
	case want == f.parent.node:
		// The parent has changed, and the router does not know yet or wants it back soon.
	case f.standby != nil && f.standby.node == want:
	case f.past(f.standbyAt, now):
		f.drop(&f.standby)
		f.standby = f.begin(want, want, false, now)
		f.standbyAt = now.Add(standbyPause)
	}
}

// tell passes demand up.
func (f *feed) tell() {
	for _, p := range []*pull{f.parent, f.next} {
		if p == nil || p.in == nil || !p.active {
			continue
		}
		if had := media.LayerSet(p.in.wants.Load()); had != f.wants {
			p.in.update(f.wants, false, f.links.ways.takeHints(f.track, f.wants&^had))
		}
	}
	if f.parent == nil || f.parent.in == nil {
		return
	}
	for l := range f.keyframes.All() {
		known, _ := f.track.Keyframe(l)
		f.parent.in.up.send(&wire.Keyframe{Sub: f.parent.in.id, Layer: l, Known: known})
	}
	f.keyframes = 0
}

// heed notes which way the parent says the track takes.
func (f *feed) heed(now time.Time) {
	s, ok := f.parent.stands()
	if !ok {
		f.lost(now)
		return
	}
	f.hops = 0
	if s.Known {
		f.orphan = time.Time{}
	} else if w, _ := f.links.ways.look(f.track); w.known {
		f.orphan = now.Add(orphanLimit)
	}
	f.links.ways.set(f.track, s.Path, s.Known)
}
