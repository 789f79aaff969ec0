package wish

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests *prometheus.CounterVec
	start    prometheus.Histogram
	ends     *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, p Protocol, h *Handler) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lyceum_wish_requests_total",
			Help: "HTTP requests of publishers (whip) and subscribers (whep), by method and status.",
		}, []string{"method", "status"}),
		start: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "lyceum_wish_start_seconds",
			Help:    "Time from a POST to its 201.",
			Buckets: []float64{.005, .01, .02, .05, .1, .2, .5, 1, 2, 5},
		}),
		ends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lyceum_wish_sessions_ended_total",
			Help: "Sessions that ended: deleted by their client, or lost.",
		}, []string{"by"}),
	}
	sessions := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lyceum_wish_sessions",
		Help: "Sessions that there are now.",
	}, func() float64 { return float64(h.Sessions()) })
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lyceum_wish_waiting",
		Help: "POSTs that wait for their turn.",
	}, func() float64 { return float64(h.waiting.Load()) })
	if reg != nil {
		prometheus.WrapRegistererWith(prometheus.Labels{"protocol": p.String()}, reg).MustRegister(m.requests, m.start, m.ends, sessions, waiting)
	}
	return m
}

// count counts a request. Methods that are not known share one label.
func (m *metrics) count(method string, status int) {
	switch method {
	case http.MethodPost, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodGet, http.MethodHead:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(method, strconv.Itoa(status)).Inc()
}

func (m *metrics) started(d time.Duration) { m.start.Observe(d.Seconds()) }
