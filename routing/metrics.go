package routing

import "github.com/prometheus/client_golang/prometheus"

type metrics struct{ rerouted prometheus.Counter }

func newMetrics(reg prometheus.Registerer, t *Table) *metrics {
	m := &metrics{rerouted: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lyceum_routing_reroutes_total",
		Help: "Ways between two regions, in one direction, that began, ended or changed a detour.",
	})}
	detours := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lyceum_routing_detours",
		Help: "Ways between two regions, in one direction, that lead through a third one now.",
	}, func() float64 {
		_, table := t.Routes()
		return float64(len(table))
	})
	if reg != nil {
		reg.MustRegister(m.rerouted, detours)
	}
	return m
}
