package link

import (
	"maps"
	"sync"
	"time"
)

const (
	// lossEvery is how often a link looks what its stripes have lost.
	lossEvery = time.Second
	// lossWindow is how long what was lost counts, twice at the most. Five heartbeats a second, each twice, tell a loss of
	// 1 % to within 0.4 points in a minute.
	lossWindow = time.Minute
	// lossAge and lossPackets are from when on a link knows its loss: the first seconds of a link lose more than others,
	// because it begins with a replay.
	lossAge     = 10 * time.Second
	lossPackets = 100
	// busy is how many packets a link must send for each heartbeat to count as sending media.
	busy = 5
	// keepLoss is how long the loss of a way counts after its link has ended. A way that is left because it loses packets
	// would else be as good as new once nobody uses it.
	keepLoss = 30 * time.Minute
	// maxPast bounds the ways that are remembered so.
	maxPast = 4096
)

// lossMeter measures the share of the packets that this end of a link sends and that do not arrive.
//
// While this end sends media, QUIC knows it well. Otherwise QUIC does not: most of what it sends then are acknowledgements,
// whose loss nobody notices, and a lone packet that is lost is repeated by its timer and not counted. So the heartbeats are
// counted, of which the peer says how many have come.
type lossMeter struct {
	// Owned by look.
	looked, began  time.Time
	seen           map[*stripe]traffic
	beats, arrived uint64 // at the last look

	mu sync.Mutex
	// Guarded by mu.
	now, before sample // this window, and the last
}

type sample struct{ sent, lost float64 }

// look is called often. Beats are the heartbeats that were sent so far, and arrived those that have come to the peer.
func (m *lossMeter) look(now time.Time, list []*stripe, up bool, beats, arrived uint64) {
	if now.Sub(m.looked) < lossEvery {
		return
	}
	if m.seen == nil {
		m.seen, m.began = map[*stripe]traffic{}, now
	}
	var media sample
	here := make(map[*stripe]bool, len(list))
	for _, s := range list {
		here[s] = true
		st := s.conn.ConnectionStats()
		t := m.seen[s]
		sent, lost, _ := t.since(&st)
		m.seen[s] = t
		media.sent, media.lost = media.sent+sent, media.lost+lost
	}
	maps.DeleteFunc(m.seen, func(s *stripe, _ traffic) bool { return !here[s] })
	pulse := sample{sent: float64(beats - m.beats)}
	pulse.lost = pulse.sent - float64(arrived-m.arrived)
	told := m.arrived != 0
	m.looked, m.beats, m.arrived = now, beats, arrived
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.began) >= lossWindow {
		m.before, m.now, m.began = m.now, sample{}, now
	}
	switch {
	case !up && media.sent > busy*pulse.sent:
		m.now.add(media)
	case told:
		m.now.add(pulse)
	}
}

func (s *sample) add(o sample) { s.sent, s.lost = s.sent+o.sent, s.lost+o.lost }

// sum is what was counted in the last one to two minutes.
func (m *lossMeter) sum() sample {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.now
	s.add(m.before)
	return s
}

// share is the loss, if enough was counted to know it.
func (s sample) share() (share float64, known bool) {
	if s.sent < lossPackets {
		return 0, false
	}
	return min(max(s.lost/s.sent, 0), 1), true
}

// loss is what this end of a link has counted of late.
func (l *link) loss() sample {
	if time.Since(l.born) < lossAge {
		return sample{}
	}
	return l.meter.sum()
}

// pastLoss is the loss on the way to a node when the last link to it ended.
type pastLoss struct {
	at   time.Time
	loss float64
}

// Loss is the share of the packets from this node to another that did not arrive of late, 0 to 1: in the last minute or
// two or, if there is no link to it any more, in those of the last one of the last half hour. It is not known of nodes that
// this one has had no link with.
func (l *Links) Loss(node string) (share float64, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var sum sample
	if d := l.ups[node]; d != nil {
		select {
		case <-d.done:
			if d.err == nil {
				sum = d.up.loss()
			}
		default:
		}
	}
	if d := l.downs[node]; d != nil {
		sum.add(d.loss())
	}
	if share, known = sum.share(); known {
		return share, true
	}
	if p, ok := l.past[node]; ok && time.Since(p.at) < keepLoss {
		return p.loss, true
	}
	return 0, false
}

// remember keeps what a link that ends knows of its way.
func (l *Links) remember(of *link) {
	loss, known := of.loss().share()
	if !known {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(l.past, func(_ string, p pastLoss) bool { return now.Sub(p.at) >= keepLoss })
	if len(l.past) < maxPast {
		l.past[of.peer] = pastLoss{now, loss}
	}
}
