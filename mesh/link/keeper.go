package link

import (
	"context"
	"time"

	"lyceum/mesh/wire"
)

// retireAfter is how long a stripe that is not wanted any more stays: until all that was written to it has arrived or is
// too late, be it a replay.
const retireAfter = replayLate + 2*time.Second

// keepers dial the stripes of a link to a parent, all but the first, as many as the parent would like.
type keepers struct {
	want    int                        // stripes, with the first
	changes int                        // of want
	stop    map[int]context.CancelFunc // of the stripes being kept, by index
}

// resize changes how many stripes the link has. Those to be closed are closed after a while.
func (u *upLink) resize(want int) {
	want = min(max(want, minStripes), maxStripes)
	u.mu.Lock()
	defer u.mu.Unlock()
	k := &u.keepers
	if u.ended || want == k.want {
		return
	}
	k.want = want
	k.changes++
	for i := 1; i < want; i++ {
		if k.stop[i] == nil {
			ctx, cancel := context.WithCancel(u.ctx)
			k.stop[i] = cancel
			u.tasks.Go(func() { u.keepStripe(ctx, i) })
		}
	}
	if len(k.stop) >= want {
		version := k.changes
		u.tasks.Go(func() { u.retire(version) })
	}
}

// retire closes the stripes beyond the wanted number if that does not change for a while.
func (u *upLink) retire(version int) {
	timer := time.NewTimer(retireAfter)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-u.ctx.Done():
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.keepers.changes != version {
		return
	}
	for i, stop := range u.keepers.stop {
		if i >= u.keepers.want {
			stop()
			delete(u.keepers.stop, i)
		}
	}
}

// watchStripes dials those stripes again on which nothing comes any more while something comes on others. The parent
// notices by itself when its packets are not answered, but not when they are lost and those of this node are not.
func (u *upLink) watchStripes() {
	type seen struct {
		received uint64
		at       time.Time
	}
	every := u.links.cfg.Heartbeat
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	last := map[*stripe]seen{}
	for {
		var now time.Time
		select {
		case now = <-ticker.C:
		case <-u.ctx.Done():
			return
		}
		list := *u.stripes.Load()
		var newest time.Time
		for _, s := range list {
			if n := s.conn.ConnectionStats().BytesReceived; last[s].at.IsZero() || n != last[s].received {
				last[s] = seen{n, now}
			}
			if last[s].at.After(newest) {
				newest = last[s].at
			}
		}
		// The parent's heartbeats come on each stripe in turn; four in a row may be lost by chance.
		limit := every * time.Duration(len(list)+4)
		for _, s := range list {
			if newest.Sub(last[s].at) <= limit {
				continue
			}
			delete(last, s)
			if s.index == 0 {
				u.end(errMute)
				return
			}
			u.links.metrics.redialled.Inc()
			u.tasks.Go(func() { s.conn.CloseWithError(codeGoodbye, "carries nothing") })
		}
		for s := range last {
			if s.conn.Context().Err() != nil {
				delete(last, s)
			}
		}
	}
}

// heed does what the parent says about stripes, unless their number is fixed.
func (u *upLink) heed(m *wire.Stripes) {
	for _, s := range *u.stripes.Load() {
		// One that was dialled just now is not the one that the parent means.
		if s.index > 0 && uint64(s.index) == m.Redial && time.Since(s.born) > redialAfter/2 {
			u.links.metrics.redialled.Inc()
			u.tasks.Go(func() { s.conn.CloseWithError(codeGoodbye, "carries nothing") })
		}
	}
	if u.links.cfg.Stripes == 0 {
		u.resize(int(min(m.Want, maxStripes)))
	}
}

// keepStripe dials one of the further stripes, again and again, until ctx is done.
func (u *upLink) keepStripe(ctx context.Context, i int) {
	wait := newBackoff()
	for ctx.Err() == nil {
		dialling, cancel := context.WithTimeout(ctx, joinTimeout)
		s, r, welcome, err := u.links.dialStripe(dialling, u.peer, u.id, i)
		cancel()
		if err == nil && (welcome.Boot != u.boot || welcome.Version != u.speak) {
			s.conn.CloseWithError(codeGoodbye, "")
			u.end(errRestarted)
			return
		}
		if err == nil && !u.add(s, r) {
			s.conn.CloseWithError(codeGoodbye, "")
			return
		}
		if err == nil {
			began := time.Now()
			select {
			case <-s.conn.Context().Done():
			case <-ctx.Done():
				s.conn.CloseWithError(codeGoodbye, "not needed")
				return
			}
			if time.Since(began) > stable {
				wait.reset()
			}
		} else {
			u.log.Debug("stripe missing", "stripe", i, "err", err)
		}
		wait.sleep(ctx, nil)
	}
}
