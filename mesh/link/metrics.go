package link

import "github.com/prometheus/client_golang/prometheus"

type endpointMetrics struct {
	dialed, failed prometheus.Counter
}

func newEndpointMetrics(reg prometheus.Registerer, e *Endpoint) *endpointMetrics {
	dials := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lyceum_link_dials_total",
		Help: "QUIC connections to other nodes that this node asked for, by result.",
	}, []string{"result"})
	conns := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lyceum_link_connections",
		Help: "QUIC connections with other nodes, of all protocols.",
	}, e.count)
	if reg != nil {
		reg.MustRegister(dials, conns)
	}
	return &endpointMetrics{dialed: dials.WithLabelValues("ok"), failed: dials.WithLabelValues("failed")}
}

// flow counts what goes one way.
type flow struct {
	video, audio, bytes prometheus.Counter
}

type metrics struct {
	sent, received                           flow
	duplicates                               prometheus.Counter
	dropFull, dropLate, dropAudio, dropEarly prometheus.Counter
	dropUnknown, dropBroken, cancelled       prometheus.Counter
	subscribed, replaced, reparented         prometheus.Counter
	refused, closed                          *prometheus.CounterVec
	wait                                     prometheus.Histogram
	resent, redialled                        prometheus.Counter
	shed, resumed, probes                    prometheus.Counter
	paritySent, parityReceived               prometheus.Counter
	parityDropped, repaired, blocksDropped   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, l *Links) *metrics {
	packets := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lyceum_link_packets_total",
		Help: "Media packets that went over links. An audio packet counts once for each stripe it took.",
	}, []string{"direction", "kind"})
	bytes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lyceum_link_media_bytes_total",
		Help: "Bytes of chunks and audio datagrams that went over links, without those of QUIC.",
	}, []string{"direction"})
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lyceum_link_packets_dropped_total",
		Help: "Media packets given up. full: the queue of a link was full; late: waited too long for room; audio: a stripe took no more; early: came long before the state that " +
			"explains them; unknown: of a subscription that ended; broken: cut off or malformed.",
	}, []string{"reason"})
	duplicates := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lyceum_link_packets_duplicate_total",
		Help: "Media packets received that this node had already, such as the second copies of audio.",
	})
	cancelled := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lyceum_link_chunks_cancelled_total",
		Help: "Chunks that were taken back from QUIC because their time was over and their stripe had lost packets.",
	})
	resent := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lyceum_link_packets_resent_total",
		Help: "Media packets that were sent again because the stripe that had them was not answered any more.",
	})
	redialled := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lyceum_link_stripes_redialled_total",
		Help: "Stripes that this node closed and dialled again because they carried nothing while others did.",
	})
	layers := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lyceum_link_layers_total",
		Help: "What was done about layers for want of room on the way to a child. shed: not sent any more; probed: looked " +
			"whether there is room again; resumed: sent again.",
	}, []string{"action"})
	shards := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lyceum_link_parity_packets_total",
		Help: "Packets of parity, which make up for losses of live video. sent, received: by this node; dropped: they did not " +
			"go out within a round trip, or the queue was full.",
	}, []string{"result"})
	repaired := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lyceum_link_packets_repaired_total",
		Help: "Media packets that did not come in time and that parity made up for.",
	})
	blocks := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lyceum_link_blocks_unrepaired_total",
		Help: "Blocks of packets of which fewer came than parity could make up for, as long as they were remembered.",
	})
	subscribed := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lyceum_link_subscriptions_total",
		Help: "Subscriptions that this node asked its parents for.",
	})
	changes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lyceum_link_parent_changes_total",
		Help: "Tracks that went over to another parent. failed: to the one that stood by, when the old one was lost; better: " +
			"to a better one, or away from one about to leave, when it had caught up.",
	}, []string{"reason"})
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lyceum_link_refused_total",
		Help: "Subscriptions of children that were refused or ended by this node, by reason.",
	}, []string{"reason"})
	closed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lyceum_link_closed_total",
		Help: "Links that ended, by reason.",
	}, []string{"reason"})
	wait := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "lyceum_link_queue_wait_seconds",
		Help:    "How long chunks waited for room on a stripe.",
		Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .4, 1, 3},
	})
	links := func(direction string, count func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "lyceum_link_links",
			Help:        "Links with other nodes. up: this node is the child; down: the parent.",
			ConstLabels: prometheus.Labels{"direction": direction},
		}, count)
	}
	if reg != nil {
		reg.MustRegister(packets, bytes, dropped, duplicates, cancelled, subscribed, refused, closed, wait,
			resent, redialled, layers, changes, shards, repaired, blocks,
			links("up", l.countUp), links("down", l.countDown))
	}
	way := func(direction string) flow {
		return flow{
			video: packets.WithLabelValues(direction, "video"),
			audio: packets.WithLabelValues(direction, "audio"),
			bytes: bytes.WithLabelValues(direction),
		}
	}
	return &metrics{
		sent: way("sent"), received: way("received"), duplicates: duplicates,
		dropFull: dropped.WithLabelValues("full"), dropLate: dropped.WithLabelValues("late"),
		dropAudio: dropped.WithLabelValues("audio"), dropEarly: dropped.WithLabelValues("early"),
		dropUnknown: dropped.WithLabelValues("unknown"), dropBroken: dropped.WithLabelValues("broken"),
		cancelled: cancelled, subscribed: subscribed, refused: refused, closed: closed, wait: wait,
		replaced: changes.WithLabelValues("failed"), reparented: changes.WithLabelValues("better"),
		resent: resent, redialled: redialled, shed: layers.WithLabelValues("shed"),
		paritySent: shards.WithLabelValues("sent"), parityReceived: shards.WithLabelValues("received"),
		parityDropped: shards.WithLabelValues("dropped"), repaired: repaired, blocksDropped: blocks,
		resumed: layers.WithLabelValues("resumed"), probes: layers.WithLabelValues("probed"),
	}
}
