package directory

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	seconds *prometheus.HistogramVec
	refused prometheus.Counter
	leaders prometheus.Counter
	saves   *prometheus.CounterVec
	changes *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, d *Directory) *metrics {
	m := &metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "lyceum_directory_command_seconds",
			Help:    "Time from a command given at this node to the directory's decision, by command and outcome.",
			Buckets: []float64{.005, .02, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"command", "outcome"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "lyceum_directory_streams_refused_total",
			Help: "Streams from other nodes that were refused because too many were open.",
		}),
		leaders: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "lyceum_directory_leader_changes_total",
			Help: "Times that this node learnt of another leader.",
		}),
		saves: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lyceum_directory_cache_writes_total",
			Help: "Times that the rooms were written to this node's cache, by outcome.",
		}, []string{"outcome"}),
	}
	m.changes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lyceum_directory_server_changes_total",
		Help: "Changes that this node, leading, made to those who take part in the directory, by change.",
	}, []string{"change"})
	rooms := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lyceum_directory_rooms",
		Help: "Rooms that this node knows.",
	}, func() float64 { rooms, _ := d.view.size(); return float64(rooms) })
	index := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lyceum_directory_index",
		Help: "Index in the log of the last command that this node has seen.",
	}, func() float64 { _, index := d.view.size(); return float64(index) })
	ready := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lyceum_directory_leader_known",
		Help: "1 while this node knows a leader, so that rooms can be opened and claimed.",
	}, func() float64 {
		if d.Leader() == "" {
			return 0
		}
		return 1
	})
	if reg != nil {
		reg.MustRegister(m.seconds, m.refused, m.leaders, m.saves, m.changes, rooms, index, ready)
	}
	return m
}

func (m *metrics) command(c op, began time.Time, err error) {
	m.seconds.WithLabelValues(string(c), outcome(err)).Observe(time.Since(began).Seconds())
}
