package gossip

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	malformed, foreign, surplus, conflict, untold prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, g *Gossip) *metrics {
	ignored := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lyceum_gossip_ignored_total",
		Help: "Members and messages that were ignored, by the reason.",
	}, []string{"reason"})
	alive := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lyceum_gossip_members",
		Help: "Nodes that this node believes alive, itself included.",
	}, func() float64 { return float64(g.living()) })
	queued := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lyceum_gossip_queued_messages",
		Help: "News that are still being spread, at most one of each member.",
	}, func() float64 { return float64(g.queue.NumQueued()) })
	untold := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lyceum_gossip_untold_ways_total",
		Help: "Ways to far regions that this node did not tell of because a message had no room for them.",
	})
	if reg != nil {
		reg.MustRegister(ignored, alive, queued, untold)
	}
	return &metrics{
		malformed: ignored.WithLabelValues("malformed"),
		foreign:   ignored.WithLabelValues("foreign_cluster"),
		surplus:   ignored.WithLabelValues("too_many_members"),
		conflict:  ignored.WithLabelValues("id_conflict"),
		untold:    untold,
	}
}
