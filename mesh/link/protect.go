package link

import (
	"math"
	"time"
)

const (
	// longWindow and shortWindow are over how many packets losses are counted. The long one knows rare losses, the short one
	// is quick when there are more.
	longWindow  = 5000
	shortWindow = 1000
	// guessed is the loss that a way is taken for at first, as if so many had been seen in a short window: the first packet
	// that it loses is made up for already.
	guessed = .001
	// A way is protected when it loses protectLoss of its packets or more, until it loses less than spareLoss: 3 and 1.5 of
	// 10,000.
	protectLoss = .0003
	spareLoss   = .00015
	// Where a round trip is short, so is a repair. Protection begins at protectRTT and ends below spareRTT.
	protectRTT = 20 * time.Millisecond
	spareRTT   = 15 * time.Millisecond
	// The windows must allow so much more than the demand, parity and all, for protection to begin, and to go on.
	protectRoom = 1.3
	spareRoom   = 1.1
	// calmFor is how long a way must be as it should before protection begins, if it has ended before.
	calmFor = 2 * time.Second
	// protectMargin is how much more loss than measured parity is made for: what is measured is a chance itself.
	protectMargin = 1.5
	// burstTicks is over how many looks bursts are measured, and clearBurst what is taken for bursts at all.
	burstTicks = 100
	clearBurst = 1.3
)

// protection decides whether parity pays on a link, and knows the losses that it is for.
type protection struct {
	on                 bool
	calm               time.Time // since when the way is as it should
	long, short        losses
	mean, mean2, ticks float64 // losses of a look, and their squares, of late
}

// losses are counted over a window.
type losses struct{ sent, lost float64 }

func (l *losses) note(sent, lost, window float64) {
	fade := math.Exp(-sent / window)
	l.sent, l.lost = l.sent*fade+sent, max(0, l.lost*fade+lost)
}

func (l *losses) share() float64 { return min(1, l.lost/l.sent) }

func newProtection(now time.Time) protection {
	prior := losses{shortWindow, guessed * shortWindow}
	return protection{long: prior, short: prior, calm: now.Add(-calmFor)}
}

// note adds the packets that were sent and found lost since the last look.
func (p *protection) note(sent, lost float64) {
	p.long.note(sent, lost, longWindow)
	p.short.note(sent, lost, shortWindow)
	if sent == 0 {
		return
	}
	const stay = 1 - 1./burstTicks
	p.ticks, p.mean, p.mean2 = p.ticks*stay+1, p.mean*stay+lost, p.mean2*stay+lost*lost
}

// loss is the share of packets that are lost, rather too much than too little.
func (p *protection) loss() float64 { return protectMargin * max(p.long.share(), p.short.share()) }

// burst is the mean number of packets that are lost in a row, 1 where it is not clearly more. Counts of single losses vary
// as much as their mean (Poisson); where losses come in geometric bursts of b they vary by 2b-1 times as much.
func (p *protection) burst() float64 {
	if p.mean < 10 {
		return 1
	}
	mean := p.mean / p.ticks
	b := ((p.mean2/p.ticks-mean*mean)/mean + 1) / 2
	if b < clearBurst {
		return 1
	}
	return b
}

// step looks at the way. Full means that it has no room for all layers. It reports whether protection is now to begin or end.
func (p *protection) step(now time.Time, c *conditions, full bool) (changed bool) {
	room, rtt, loss := protectRoom, protectRTT, protectLoss
	if p.on {
		room, rtt, loss = spareRoom, spareRTT, spareLoss
	}
	good := !full && float64(c.rtt) <= congestedRTT*float64(c.base) && c.rtt >= rtt && p.long.share() >= loss && c.allowed >= room*c.demand
	if !good {
		p.calm = now
	}
	want := good && (p.on || now.Sub(p.calm) >= calmFor)
	changed, p.on = want != p.on, want
	return changed
}
