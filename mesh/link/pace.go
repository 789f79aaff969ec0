package link

import "time"

const (
	// pacedFor is how long a link goes on being paced after its last layer came back.
	pacedFor = time.Minute
	// paceShare is the share of the measured capacity that is used, and paceLeast how much more than the demand is allowed in
	// any case.
	paceShare = .95
	paceLeast = 1.25
	// paceBurst is how many bytes may go at once.
	paceBurst = 4096
	// capacityOver is over how many ticks the capacity is measured.
	capacityOver = 5
)

// pacer spreads what is sent where the way is known to be narrow. Windows would let a keyframe through at once, and the
// end of it would find the queue on the way full; here it waits where lower layers overtake it.
type pacer struct {
	passed   [capacityOver]float64 // bytes that were sent and not lost, of the last ticks
	turn     int
	capacity float64 // bytes per second; 0 for not known to be narrow
	rate     float64 // bytes per second; 0 for not paced
	tokens   float64
	filled   time.Time
}

// note adds what a tick has sent and not lost.
func (p *pacer) note(bytes float64) {
	p.passed[p.turn%len(p.passed)] = bytes
	p.turn++
}

// narrow says that the way takes no more than it does now.
func (p *pacer) narrow() {
	var sum float64
	for _, b := range p.passed {
		sum += b
	}
	p.capacity = sum / (capacityOver * governEvery.Seconds())
}

// wider says that the way takes more.
func (p *pacer) wider(rate float64) { p.capacity += rate }

// set makes the rate anew. On is false where the way has room for all.
func (p *pacer) set(on bool, demand float64) {
	if !on {
		p.capacity, p.rate = 0, 0
		return
	}
	p.rate = max(paceShare*p.capacity, paceLeast*demand)
}

// ready reports whether a chunk may be sent.
func (p *pacer) ready(now time.Time) bool {
	if p.rate == 0 {
		return true
	}
	p.tokens = min(paceBurst, p.tokens+now.Sub(p.filled).Seconds()*p.rate)
	p.filled = now
	return p.tokens > 0
}

// spend notes what was sent.
func (p *pacer) spend(bytes int) { p.tokens -= float64(bytes) }
