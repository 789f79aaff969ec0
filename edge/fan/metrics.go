package fan

import "github.com/prometheus/client_golang/prometheus"

// metrics are touched once for each flush.
type metrics struct {
	packets, messages, calls, waits, refused, full, failed prometheus.Counter

	flood, unopened prometheus.Counter // of feedback, touched for each packet
}

func newMetrics(reg prometheus.Registerer, f *Fan) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	one := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "lyceum_fan_" + name, Help: help})
		reg.MustRegister(c)
		return c
	}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lyceum_fan_trains_ratio", Help: "Fraction of the media sockets at which the kernel cuts trains into packets.",
	}, f.ratio))
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lyceum_fan_packets_dropped_total",
		Help: "Packets not sent: the socket's buffer stayed full, or the kernel refused the address.",
	}, []string{"reason"})
	reg.MustRegister(dropped)
	feedback := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lyceum_fan_feedback_dropped_total",
		Help: "RTCP packets of students that were not read: too many of one student, or not opened by its keys.",
	}, []string{"reason"})
	reg.MustRegister(feedback)
	return &metrics{
		flood: feedback.WithLabelValues("flood"), unopened: feedback.WithLabelValues("keys"),
		packets:  one("packets_total", "Media packets given to the kernel."),
		messages: one("trains_total", "Trains of packets for one student given to the kernel, those of one packet included."),
		calls:    one("calls_total", "System calls made to send media."),
		waits:    one("waits_total", "Times that a flush waited for room in a socket's buffer."),
		refused:  one("trains_refused_total", "Trains that the kernel did not take and that were sent packet by packet."),
		full:     dropped.WithLabelValues("full"),
		failed:   dropped.WithLabelValues("failed"),
	}
}

// ratio is the fraction of sockets whose kernel cuts trains, 0 without sockets.
func (f *Fan) ratio() float64 {
	n := 0
	for _, c := range f.conns {
		if c.trains.Load() {
			n++
		}
	}
	return float64(n) / float64(max(1, len(f.conns)))
}

func (m *metrics) add(t *tally) {
	m.packets.Add(float64(t.packets))
	m.messages.Add(float64(t.messages))
	m.calls.Add(float64(t.calls))
	m.waits.Add(float64(t.waits))
	m.refused.Add(float64(t.refused))
	m.full.Add(float64(t.full))
	m.failed.Add(float64(t.failed))
}
