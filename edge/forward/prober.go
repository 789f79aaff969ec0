package forward

import "math"

const (
	// ramp is how often a burst doubles its rate in a second. Where the network ends, a queue then grows slowly enough to
	// be noticed before it overflows. Where there is nothing but sound, or nothing
	// but loss to tell of it, it grows more slowly.
	ramp, slowRamp = 1.1, 0.8
	// probeMost bounds the rate of a burst in bits per second, media included.
	probeMost = 8_000_000
	// probeTrain is how many bytes of a burst leave at once.
	probeTrain = 4 * 1200

	// Times in microseconds.
	probeTop   = 1_200_000  // how long the whole rate is sent
	probeRest  = 3_500_000  // between two bursts
	probeSlow  = 5_000_000  // the same after probeHope in vain
	probeTired = 30_000_000 // the same after probeTries in vain
	probeTries = 60
	probeHope  = 2
)

// Prober finds out whether a network carries more than the media that is sent: for some seconds it fills up what is sent,
// at a rate that grows from what is known to be carried to what is wanted, and stops at the first sign of congestion. The
// zero value is ready.
type Prober struct {
	on       bool
	from, to float64 // bits per second
	beganAt  int64
	fullAt   int64 // when the whole rate was reached, 0 for not yet
	at       int64 // the last call of Due
	sent     uint64
	credit   float64 // bytes that may be sent
	signs    uint64
	restAt   int64 // no burst before
	vain     int   // bursts in a row that have led to nothing
	careful  bool  // each of them costs the subscriber something
	slow     bool  // the rate grows slowly
}

// Probing reports whether a burst lasts.
func (p *Prober) Probing() bool { return p.on }

// Ready reports whether there may be a burst now.
func (p *Prober) Ready(now int64) bool { return !p.on && now >= p.restAt }

// Rest puts the next burst off: something has just changed.
func (p *Prober) Rest(now int64) { p.restAt = max(p.restAt, now+probeRest) }

// Begin begins a burst from what is known to be carried to what is wanted, in bits per second, after so many bytes have
// been sent and so many signs of congestion were seen. A careful one rests twice as long after each burst in vain: where
// only loss tells that a network has ended, every burst costs some. A slow one grows slowly.
func (p *Prober) Begin(from, to float64, sent, signs uint64, careful, slow bool, now int64) {
	to = min(to, probeMost)
	*p = Prober{
		on: true, from: min(max(from, 50_000), to), to: to, beganAt: now, at: now, sent: sent, signs: signs, vain: p.vain,
		careful: careful, slow: slow,
	}
}

// Due is how many bytes are to be sent on top of the media, after so many bytes have been sent. It is called every few
// milliseconds while a burst lasts. When the burst has met a sign of congestion, or has come to its end, over is true.
func (p *Prober) Due(sent, signs uint64, now int64) (due int, over bool) {
	if !p.on {
		return 0, true
	}
	if signs != p.signs {
		p.end(now, p.vain+1)
		return 0, true
	}
	speed := ramp
	if p.slow {
		speed = slowRamp
	}
	rate := p.from * math.Exp2(speed*float64(now-p.beganAt)/1e6)
	if rate >= p.to {
		rate = p.to
		if p.fullAt == 0 {
			p.fullAt = now
		} else if now-p.fullAt > probeTop {
			p.end(now, p.vain+1)
			return 0, true
		}
	}
	// What was asked for late is not made up for: that would be a burst of another kind.
	elapsed := min(now-p.at, 20_000)
	p.credit += rate*float64(elapsed)/8e6 - float64(sent-p.sent)
	p.credit = min(max(p.credit, -rate/8/4), probeTrain)
	p.at, p.sent = now, sent
	return max(0, int(p.credit)), false
}

// Reward says that the bursts have led to more.
func (p *Prober) Reward() { p.vain = 0 }

// Stop ends a burst that is no longer wanted.
func (p *Prober) Stop(now int64) { p.end(now, p.vain) }

func (p *Prober) end(now int64, vain int) {
	p.on, p.vain = false, vain
	rest := int64(probeRest)
	switch {
	case vain >= probeTries:
		rest = probeTired
	case p.careful:
		rest = min(rest<<min(vain, 8), probeTired)
	case vain > probeHope:
		rest = probeSlow
	}
	p.restAt = now + rest
}
