package ticket

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics is what a Desk counts.
type metrics struct {
	redeemed   *prometheus.CounterVec
	remembered prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	return &metrics{
		redeemed: f.NewCounterVec(prometheus.CounterOpts{
			Name: "lyceum_ticket_redeemed_total",
			Help: "Tickets that were presented at this node, by what became of them.",
		}, []string{"result"}),
		remembered: f.NewGauge(prometheus.GaugeOpts{
			Name: "lyceum_ticket_remembered_tickets",
			Help: "Used tickets that this node still remembers.",
		}),
	}
}

// count counts one answer of Redeem.
func (m *metrics) count(err error) {
	result := "refused"
	switch {
	case err == nil:
		result = "ok"
	case errors.Is(err, ErrBusy):
		result = "busy"
	case errors.Is(err, ErrUsed):
		result = "used"
	case errors.Is(err, ErrExpired):
		result = "expired"
	}
	m.redeemed.WithLabelValues(result).Inc()
}
