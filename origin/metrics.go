package origin

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	verdicts  [tooOld + 1]prometheus.Counter
	refused   prometheus.Counter // by the track
	malformed prometheus.Counter
	oversized prometheus.Counter
	surplus   prometheus.Counter // of a layer too many

	lost, repaired prometheus.Counter
	nacks          prometheus.Counter
	keyframes      prometheus.Counter
	ended          *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, o *Origin) *metrics {
	packets := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lyceum_origin_packets_total",
		Help: "RTP packets of publishers, by what became of them.",
	}, []string{"result"})
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		refused:   packets.WithLabelValues("refused"),
		malformed: packets.WithLabelValues("malformed"),
		oversized: packets.WithLabelValues("oversized"),
		surplus:   packets.WithLabelValues("surplus_layer"),
		lost:      counter("lyceum_origin_packets_lost_total", "Packets of publishers that never came."),
		repaired:  counter("lyceum_origin_packets_repaired_total", "Packets of publishers that came after they were asked for again."),
		nacks:     counter("lyceum_origin_packets_asked_total", "Packets that publishers were asked to send again, each time counted."),
		keyframes: counter("lyceum_origin_keyframe_requests_total", "Keyframes that publishers were asked for."),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lyceum_origin_publishers_ended_total",
			Help: "Publishers that ended, by the reason.",
		}, []string{"reason"}),
	}
	for v, name := range map[verdict]string{keep: "written", drop: "padding", duplicate: "duplicate", tooOld: "late"} {
		m.verdicts[v] = packets.WithLabelValues(name)
	}
	publishers := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lyceum_origin_publishers",
		Help: "Publishers that there are now.",
	}, func() float64 { return float64(o.Publishers()) })
	if reg != nil {
		reg.MustRegister(packets, m.lost, m.repaired, m.nacks, m.keyframes, m.ended, publishers)
	}
	return m
}
