package relay

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	packets           [outcomes]prometheus.Counter
	overtaken         prometheus.Counter
	passed, throttled prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, h *Hub) *metrics {
	packets := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lyceum_relay_packets_total",
		Help: "Packets written to the tracks of this node, by what became of them.",
	}, []string{"result"})
	overtaken := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lyceum_relay_readers_overtaken_total",
		Help: "Times that a reader was too slow for the ring and resumed at the newest keyframe.",
	})
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lyceum_relay_keyframe_requests_total",
		Help: "Keyframe requests by readers: passed towards the publisher, or throttled because one was just passed.",
	}, []string{"result"})
	tracks := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lyceum_relay_tracks",
		Help: "Tracks that this node holds.",
	}, h.count)
	if reg != nil {
		reg.MustRegister(packets, overtaken, requests, tracks)
	}
	m := &metrics{
		overtaken: overtaken,
		passed:    requests.WithLabelValues("passed"),
		throttled: requests.WithLabelValues("throttled"),
	}
	for o, name := range map[outcome]string{written: "written", duplicate: "duplicate", late: "late", unknown: "unknown_layer"} {
		m.packets[o] = packets.WithLabelValues(name)
	}
	return m
}
