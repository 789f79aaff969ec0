package gossip

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	joinFirst = 500 * time.Millisecond
	joinLast  = 15 * time.Second
)

// join tries the seeds until some other node is alive, ever more slowly, and from then on now and then those seeds that
// are not among the living. It owns the retry of joining.
func (g *Gossip) join(ctx context.Context) {
	if len(g.cfg.Seeds) == 0 {
		return
	}
	wait, alone := joinFirst, true
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		err := g.joinSeeds(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case g.living() > 1:
			if alone {
				g.log.Info("gossip joined the cluster", "members", g.living())
			}
			alone, wait = false, joinFirst
			timer.Reset(g.cfg.Rejoin)
			continue
		case err != nil && wait == joinFirst:
			g.log.Info("gossip finds no other node yet and keeps trying", "seeds", g.cfg.Seeds, "err", err)
		}
		alone = true
		timer.Reset(wait/2 + rand.N(wait))
		wait = min(2*wait, joinLast)
	}
}

func (g *Gossip) joinSeeds(ctx context.Context) (err error) {
	for _, seed := range g.cfg.Seeds {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if g.livingAt(seed) {
			continue
		}
		if _, failed := g.list.Join([]string{seed}); failed != nil {
			err = failed
		}
	}
	return err
}
