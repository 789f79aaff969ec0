package link

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"lyceum/mesh/media"
	"lyceum/mesh/relay"
	"lyceum/mesh/wire"
)

const (
	// answerLimit is how long a parent may take to answer a subscription. One whose control stream is stuck would hold
	// the track for ever.
	answerLimit = 5 * time.Second
	// quiet is how long nothing may have come over a new way for it to count as caught up, if nothing came over the old
	// one either.
	quiet = 500 * time.Millisecond
)

// errOrigins means that a parent would take a track for one of the room's home that has the same name.
var errOrigins = errors.New("the parent is of a release that does not know tracks which are born elsewhere than at the home")

// errLoop means that the parent waits for this node in turn.
var errLoop = errors.New("the parent gets the track from here")

// refusal is the error of a subscription that the parent refused.
type refusal struct {
	*wire.Refused
	track media.TrackID
	node  string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("subscribe %s at %s: %v: %s", r.track, r.node, ErrRefused, r.Reason)
}

func (r *refusal) Unwrap() error { return ErrRefused }

// pull is a subscription of a feed: at its parent, at the node that is to become it, or at the one that stands by. It is
// owned by the feed. A nil pull waits for nothing.
type pull struct {
	// Set by its maker, never changed.
	node  string
	named string // the router's name that led to the node; others have redirected from there
	began time.Time
	hops  int // how often it was sent on before it was to become the parent

	dial   *dialing
	err    error // there is no link, and none is being dialled
	in     *intake
	asked  time.Time // when in came into being
	active bool      // packets are asked for
	leads  bool      // it says what the track is

	// Set when packets are asked for.
	activated time.Time
	marks     [media.MaxLayers]uint64 // what the track had then

	expires time.Time // of one that was given up
	others  []string  // that the parent, being about to leave, has named
}

// dialed is closed when the link is there, or is not.
func (p *pull) dialed() <-chan struct{} {
	if p == nil || p.in != nil || p.dial == nil {
		return nil
	}
	return p.dial.done
}

// news is poked when the parent has said something.
func (p *pull) news() <-chan struct{} {
	if p == nil || p.in == nil {
		return nil
	}
	return p.in.wake
}

// ended is closed when the link has ended.
func (p *pull) ended() <-chan struct{} {
	if p == nil || p.in == nil {
		return nil
	}
	return p.in.up.ctx.Done()
}

// leaving is closed when the parent has said that it will leave. It is nil once that is known.
func (p *pull) leaving() <-chan struct{} {
	if p == nil || p.in == nil || p.left() {
		return nil
	}
	return p.in.up.leaving
}

// left reports whether the parent has said that it will leave.
func (p *pull) left() bool {
	select {
	case <-p.in.up.leaving:
		return true
	default:
		return false
	}
}

// stands returns the parent's last word, if there was one and it was no refusal.
func (p *pull) stands() (s wire.TrackState, ok bool) {
	if p == nil || p.in == nil {
		return s, false
	}
	s, refused, decided := p.in.answer()
	return s, decided && refused == nil
}

// ready reports whether the node can take the place of the parent at once.
func (p *pull) ready() bool {
	s, ok := p.stands()
	return ok && s.Known
}

// check subscribes as soon as the link is there, and tells why the pull is of no use, if it is of none. Due is when to
// look again at the latest.
func (p *pull) check(f *feed, now time.Time) (due time.Time, err error) {
	if p.in == nil {
		if p.err != nil {
			return due, p.err
		}
		select {
		case <-p.dial.done:
		default:
			return due, nil
		}
		if p.dial.err != nil {
			return due, p.dial.err
		}
		if f.track.ID().Origin != "" && p.dial.up.speak < 2 {
			return due, errOrigins
		}
		p.subscribe(f, now)
	}
	if p.in.up.ctx.Err() != nil {
		return due, fmt.Errorf("link to %s: %w", p.node, p.in.up.why())
	}
	state, refused, decided := p.in.answer()
	switch {
	case refused != nil:
		return due, &refusal{refused, f.track.ID(), p.node}
	case decided && slices.Contains(state.Path, f.links.cfg.Node):
		return due, errLoop
	case decided:
		return due, nil
	case now.Sub(p.asked) >= answerLimit:
		return due, fmt.Errorf("%s did not answer", p.node)
	}
	return p.asked.Add(answerLimit), nil
}

func (p *pull) subscribe(f *feed, now time.Time) {
	m := &wire.Subscribe{Track: f.track.ID(), Epoch: f.epoch, Standby: !p.active}
	if p.active {
		m.Layers, m.From = f.wants, f.lacks(f.wants)
		p.mark(f.track, now)
	}
	p.in, p.asked = p.dial.up.subscribe(f.track, m), now
	if p.leads {
		p.in.lead(f.source)
	}
}

// activate asks a node that stood by for packets.
func (p *pull) activate(f *feed, now time.Time) {
	p.active = true
	if p.in == nil {
		return // the subscription will ask
	}
	p.mark(f.track, now)
	p.in.update(f.wants, false, f.lacks(f.wants))
}

// mark notes what the track has when packets are asked for.
func (p *pull) mark(t *relay.Track, now time.Time) {
	p.activated = now
	for l := range media.AllLayers.All() {
		p.marks[l], _ = t.Head(l)
	}
}

// caughtUp reports whether packets come over this pull that are newer than those that the track had when they were asked
// for, in all layers in which any came since.
func (p *pull) caughtUp(t *relay.Track, wants media.LayerSet, now time.Time) bool {
	if !p.ready() {
		return false
	}
	flows := false
	for l := range wants.All() {
		if head, _ := t.Head(l); head <= p.marks[l] {
			continue
		}
		if p.in.reach[l].Load() <= p.marks[l] {
			return false
		}
		flows = true
	}
	return flows || now.Sub(p.activated) >= quiet
}

// lead gives a pull the say, and the source that the track was last started with.
func (p *pull) lead(source uint32) {
	p.leads = true
	if p.in != nil {
		p.in.lead(source)
	}
}

// yield takes it away again.
func (p *pull) yield() (source uint32, ok bool) {
	p.leads = false
	if p.in == nil {
		return 0, false
	}
	return p.in.yield(), true
}

// close ends the subscription.
func (p *pull) close() {
	if p != nil && p.in != nil {
		p.in.up.unsubscribe(p.in)
	}
}
