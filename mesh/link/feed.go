package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"lyceum/mesh/media"
	"lyceum/mesh/relay"
	"lyceum/mesh/wire"
)

// ErrRefused is the error of a subscription that the parent refused.
var ErrRefused = errors.New("the parent refused the subscription")

// errChanged means that a node may no longer be the one to subscribe at.
var errChanged = errors.New("the way has changed")

// errLoop means that the parent waits for this node in turn.
var errLoop = errors.New("the parent gets the track from here")

const (
	// orphanLimit is how long a track without a way home passes for live: long enough for another parent or a new home,
	// short enough for students to be told.
	orphanLimit = 10 * time.Second
	// answerLimit is how long a parent may take to answer a subscription. One whose control stream is stuck would hold
	// the track for ever.
	answerLimit = 5 * time.Second
	// maxRedirects bounds how often a subscription is sent on before the router is asked again.
	maxRedirects = 4
)

// feed keeps one track fed.
type feed struct {
	// Set by Feed, never changed.
	links *Links
	track *relay.Track
	room  string

	// Owned by run.
	source    uint32      // the source that a parent started last; 0 for none
	orphan    *time.Timer // runs while the way home is not known
	wait      *backoff
	redirects []string // to be asked instead of the router's answer
	hops      int      // redirects that were followed in a row
}

// Feed keeps a track fed until ctx is done: it subscribes at the node that the router names, and again after every error,
// redirect or change of the way. It is the relay.Feeder of the hub that Run was given.
func (l *Links) Feed(ctx context.Context, t *relay.Track) {
	select {
	case <-l.started:
	case <-ctx.Done():
		return
	}
	f := &feed{links: l, track: t, room: t.ID().Room, orphan: time.NewTimer(orphanLimit), wait: newBackoff()}
	defer f.orphan.Stop()
	defer l.ways.drop(t)
	f.run(ctx)
}

func (f *feed) run(ctx context.Context) {
	router := f.links.router
	for ctx.Err() == nil {
		changed := router.Changed()
		hop, err := router.Next(f.room)
		switch {
		case err != nil:
			f.lost()
			f.rest(ctx, changed, nil)
		case hop.Self:
			f.home()
			f.rest(ctx, changed, nil)
		default:
			node := hop.Node
			if len(f.redirects) > 0 {
				node, f.redirects = f.redirects[0], f.redirects[1:]
			}
			began := time.Now()
			err := f.follow(ctx, hop, node, changed)
			f.lost()
			if err == nil {
				continue // the way has changed, or ctx is done
			}
			level := slog.LevelDebug // it is tried again and again
			if time.Since(began) > stable {
				level = slog.LevelInfo
				f.wait.reset()
			}
			f.links.log.Log(ctx, level, "subscription ended",
				"room", f.room, "track", f.track.ID().Name, "node", node, "err", err)
			timer := time.NewTimer(f.wait.take())
			f.rest(ctx, changed, timer.C)
			timer.Stop()
		}
	}
}

// rest waits until the way may have changed, the pause is over, or ctx is done.
func (f *feed) rest(ctx context.Context, changed <-chan struct{}, pause <-chan time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			return
		case <-pause:
			return
		case <-f.orphan.C:
			f.stop()
		}
	}
}

// home makes way for a publisher here.
func (f *feed) home() {
	f.orphan.Stop()
	f.stop()
	f.source = 0
	f.track.SetHops(0)
	f.links.ways.set(f.track, nil, true)
}

// stop ends what a parent has started, and nothing else.
func (f *feed) stop() { f.track.End(f.source) }

// lost notes that the way home is not known.
func (f *feed) lost() {
	if w, _ := f.links.ways.look(f.track); w.known {
		f.orphan.Reset(orphanLimit)
	}
	f.links.ways.set(f.track, nil, false)
}

// follow subscribes at a node, the router's hop or one that the hop has named, and stays until the hop changes, which is
// no error. While the node is dialled, which takes long when it is dead, it goes by changed.
func (f *feed) follow(ctx context.Context, hop Hop, node string, changed <-chan struct{}) error {
	up, err := f.links.acquire(ctx, node, changed)
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, errChanged) {
			return nil
		}
		return err
	}
	demand := f.track.TakeDemand()
	in := up.subscribe(f.track, hop.Epoch, demand.Layers, f.source)
	defer func() { f.source = up.unsubscribe(in) }()
	f.ask(in, demand)
	answer := time.NewTimer(answerLimit)
	defer answer.Stop()
	for {
		changed := f.links.router.Changed()
		if next, err := f.links.router.Next(f.room); err != nil || next != hop {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-up.ctx.Done():
			return fmt.Errorf("link to %s: %w", node, up.why())
		case <-answer.C:
			return fmt.Errorf("%s did not answer", node)
		case <-in.wake:
			state, refused, decided := in.answer()
			if refused != nil {
				return f.refused(node, refused)
			}
			if decided {
				answer.Stop()
				if err := f.heed(state); err != nil {
					return err
				}
			}
		case <-f.track.Demands():
			f.ask(in, f.track.TakeDemand())
		case <-f.orphan.C:
			in.orphan()
		}
	}
}

// heed notes which way the parent says the track takes.
func (f *feed) heed(s wire.TrackState) error {
	if slices.Contains(s.Path, f.links.cfg.Node) {
		return errLoop
	}
	f.hops = 0
	if s.Known {
		f.orphan.Stop()
	} else if w, _ := f.links.ways.look(f.track); w.known {
		f.orphan.Reset(orphanLimit)
	}
	f.links.ways.set(f.track, s.Path, s.Known)
	return nil
}

// refused follows a redirect, or gives up for now.
func (f *feed) refused(node string, r *wire.Refused) error {
	if r.Reason == wire.Redirect && len(r.Nodes) > 0 && f.hops < maxRedirects {
		f.hops++
		f.redirects = r.Nodes
		return nil
	}
	f.hops = 0
	return fmt.Errorf("subscribe %s at %s: %w: %s", f.track.ID(), node, ErrRefused, r.Reason)
}

// ask passes demand up.
func (f *feed) ask(in *intake, d relay.Demand) {
	if media.LayerSet(in.wants.Load()) != d.Layers {
		in.wants.Store(uint32(d.Layers))
		in.up.send(&wire.Update{Sub: in.id, Layers: d.Layers})
	}
	for l := range d.Keyframes.All() {
		known, _ := f.track.Keyframe(l)
		in.up.send(&wire.Keyframe{Sub: in.id, Layer: l, Known: known})
	}
}
