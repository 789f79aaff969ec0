package edge

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lyceum/edge/forward"
	"lyceum/mesh/media"
)

// metrics are counted per node; rooms and students are on /status.
type metrics struct {
	joins     *prometheus.CounterVec
	ends      *prometheus.CounterVec
	packets   map[media.Kind]prometheus.Counter
	bytes     map[media.Kind]prometheus.Counter
	firsts    map[media.Kind]prometheus.Observer
	delays    map[media.Kind]prometheus.Observer
	late      prometheus.Counter
	failed    prometheus.Counter
	switches  prometheus.Counter
	replayed  prometheus.Counter
	asked     prometheus.Counter
	unserved  prometheus.Counter
	malformed prometheus.Counter
	overflow  prometheus.Counter
	sealed    prometheus.Counter
	left      prometheus.Counter
	resends   [forward.Held + 1]prometheus.Counter
	probes    prometheus.Counter
	met, full prometheus.Counter // bursts by their end
	lowered   prometheus.Counter
	raised    prometheus.Counter
	silenced  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, e *Edge) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lyceum_edge_" + name, Help: help}, []string{label})
		reg.MustRegister(v)
		return v
	}
	one := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "lyceum_edge_" + name, Help: help})
		reg.MustRegister(c)
		return c
	}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lyceum_edge_subscribers", Help: "Subscribers that are served now.",
	}, func() float64 { return float64(e.Sessions()) }))
	first := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "lyceum_edge_first_packet_seconds", Help: "Time from the request to the first packet of each kind; it includes the wait for a teacher.",
		Buckets: []float64{0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2.5, 5, 10},
	}, []string{"kind"})
	reg.MustRegister(first)
	delays := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "lyceum_edge_delay_seconds", Help: "Age of each frame when its last packet left for the subscribers, from its arrival at the node where " +
			"the track was born, without NTP. Replays are left out.",
		Buckets: []float64{0.002, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.2, 2, 4},
	}, []string{"kind"})
	reg.MustRegister(delays)
	packets := vec("packets_total", "Packets sent to subscribers, repair not counted.", "kind")
	bytes := vec("bytes_total", "Payload bytes sent to subscribers, repair not counted.", "kind")
	dropped := vec("packets_dropped_total", "Packets not sent to a subscriber: too late for it, or its connection failed.", "reason")
	keys := vec("keyframes_total", "Times that a subscriber was started from the ring, and requests passed to the track.", "from")
	resends := vec("resends_total", "Packets that subscribers asked for again: sent, not sent because asked for too often, gone, or held back because the network is too narrow or because as much was sent again as was sent at all.", "outcome")
	routes := vec("routes_total",
		"Subscribers that have connected, by who seals and sends their media: the fan, or each connection for itself.", "sender")
	bursts := vec("bursts_total", "Bursts that looked for more network, by whether they met its limit.", "end")
	changes := vec("allocations_total", "Changes of what a subscriber's network was found to carry: more layers, fewer, or no picture at all.", "to")
	m := &metrics{
		sealed: routes.WithLabelValues("fan"), left: routes.WithLabelValues("connection"),
		probes: one("probe_packets_total", "Packets of such bursts."),
		met:    bursts.WithLabelValues("limit"), full: bursts.WithLabelValues("whole"),
		lowered: changes.WithLabelValues("fewer"), raised: changes.WithLabelValues("more"), silenced: changes.WithLabelValues("none"),
		joins:   vec("joins_total", "Subscriptions that were asked for, by what became of them.", "result"),
		ends:    vec("ends_total", "Subscribers that ended, by the reason.", "reason"),
		packets: map[media.Kind]prometheus.Counter{}, bytes: map[media.Kind]prometheus.Counter{}, firsts: map[media.Kind]prometheus.Observer{},
		delays: map[media.Kind]prometheus.Observer{},
		late:   dropped.WithLabelValues("late"), failed: dropped.WithLabelValues("write"),
		switches: one("layer_switches_total", "Changes of the layer that a subscriber gets."),
		replayed: keys.WithLabelValues("ring"), asked: keys.WithLabelValues("publisher"),
		unserved:  one("unserved_total", "Times that a subscriber had no codec for what is published."),
		malformed: one("feedback_malformed_total", "RTCP packets of subscribers that could not be read."),
		overflow:  one("feedback_dropped_total", "Packets of subscribers that came faster than they were read."),
		resends: [...]prometheus.Counter{
			forward.Resend: resends.WithLabelValues("sent"), forward.Repeated: resends.WithLabelValues("repeated"),
			forward.Gone: resends.WithLabelValues("gone"), forward.Held: resends.WithLabelValues("held"),
		},
	}
	for _, kind := range []media.Kind{media.Audio, media.Video} {
		m.packets[kind] = packets.WithLabelValues(kind.String())
		m.bytes[kind] = bytes.WithLabelValues(kind.String())
		m.firsts[kind] = first.WithLabelValues(kind.String())
		m.delays[kind] = delays.WithLabelValues(kind.String())
	}
	return m
}

// add counts what a pass did.
func (m *metrics) add(kind media.Kind, t *tally) {
	m.packets[kind].Add(float64(t.packets))
	m.bytes[kind].Add(float64(t.bytes))
	m.late.Add(float64(t.late))
	m.failed.Add(float64(t.failed))
	m.switches.Add(float64(t.switches))
	m.replayed.Add(float64(t.replayed))
}

// routed counts a subscriber that has connected, by who seals and sends its media.
func (m *metrics) routed(here bool) {
	if here {
		m.sealed.Inc()
	} else {
		m.left.Inc()
	}
}

// first takes the time to a subscriber's first packet, in microseconds.
func (m *metrics) first(kind media.Kind, micros int64) { m.firsts[kind].Observe(float64(micros) / 1e6) }

// delay takes the age of a frame that left.
func (m *metrics) delay(kind media.Kind, age time.Duration) { m.delays[kind].Observe(age.Seconds()) }

// joined counts a subscription that was asked for.
func (m *metrics) joined(err error) {
	result := "failed"
	switch {
	case err == nil:
		result = "ok"
	case errors.Is(err, ErrFull):
		result = "full"
	case errors.Is(err, ErrOffer):
		result = "offer"
	}
	m.joins.WithLabelValues(result).Inc()
}

// ended counts the end of a subscriber.
func (m *metrics) ended(err error) {
	reason := "other"
	switch {
	case errors.Is(err, ErrLeft):
		reason = "left"
	case errors.Is(err, ErrLost):
		reason = "lost"
	case errors.Is(err, ErrUnconnected):
		reason = "unconnected"
	case errors.Is(err, ErrExcess):
		reason = "excess"
	case errors.Is(err, ErrClosed):
		reason = "shutdown"
	case errors.Is(err, ErrMoved):
		reason = "moved"
	}
	m.ends.WithLabelValues(reason).Inc()
}
