package forward

import "math"

const (
	// MaxWants bounds the tracks that an Allocator divides a network among.
	MaxWants = 8

	// Times in microseconds.
	mildTime  = 1_500_000  // how long a need may lie a little above what there is
	riseTime  = 500_000    // how long there must be enough for a step up
	firstHold = 5_000_000  // after a step down, before the next one up
	lastHold  = 40_000_000 // the same after steps up that failed, each of which doubles it
	trial     = 15_000_000 // how soon a step down condemns the step up before it
)

var (
	// stay is what a layer that is served already must not exceed: what players report of a network that is just wide
	// enough lies somewhat below what they get. The lowest layer is given up last, since nothing is left after it.
	stay = Margin{Lowest: 0.6, Upper: 0.9}
	// severe is what cannot wait for mildTime to pass.
	severe = Margin{Lowest: 0.45, Upper: 0.72}
	// fits is what a step down goes to.
	fits = Margin{Lowest: 0.6, Upper: 1}
	// rise is what must fit before a step up.
	rise = Margin{Lowest: 1.05, Upper: 1.12}
)

// Allocator decides how many layers of each track one subscriber is served, by Allocate and by what was decided before:
// down at once, or soon where little is missing; up only when there has been room for some time. The zero value is ready
// and serves all that there is until something is known of the network.
type Allocator struct {
	granted [MaxWants]int
	begun   [MaxWants]bool
	mild    int64 // since when a little too much is served, 0 if it is not
	rising  int64 // since when there is room for more, 0 if there is not
	downAt  int64 // the last step down, 0 for never
	upAt    int64 // the last step up, 0 for never or when it has proved itself
	hold    int64
}

// Decide decides anew while a network carries so many bits per second; infinite means that nothing is known of it. It
// reports whether something has changed. More than MaxWants tracks are not served.
func (a *Allocator) Decide(budget float64, wants []Want, now int64) (changed bool) {
	wants = wants[:min(len(wants), MaxWants)]
	if a.hold == 0 {
		a.hold = firstHold
	}
	if a.upAt != 0 && now-a.upAt > trial {
		a.upAt, a.hold = 0, firstHold
	}
	var can, more [MaxWants]int
	Allocate(budget, wants, stay, can[:])
	Allocate(budget, wants, rise, more[:])
	down, up := false, false
	for i := range wants {
		g := &a.granted[i]
		if len(wants[i].Rates) == 0 { // nobody sends it, or wants it
			changed = changed || *g != 0
			a.begun[i], *g = false, 0
			continue
		}
		if !a.begun[i] {
			a.begun[i], *g = true, can[i]
			changed = true
		}
		if *g > len(wants[i].Rates) {
			*g, changed = len(wants[i].Rates), true // by the subscriber's wish, or the teacher's
		}
		down = down || *g > can[i]
		up = up || *g < more[i]
	}
	switch {
	case down:
		a.rising = 0
		if a.mild == 0 {
			a.mild = now
		}
		return a.lower(budget, wants, &can, now) || changed
	case up:
		a.mild = 0
		if a.rising == 0 {
			a.rising = now
		}
		if budget == Unknown || now-a.rising >= riseTime && (a.downAt == 0 || now-a.downAt >= a.hold) {
			a.raise(wants, &more, now)
			changed = true
		}
	default:
		a.mild, a.rising = 0, 0
	}
	return changed
}

// lower takes away what does not fit, unless that can wait.
func (a *Allocator) lower(budget float64, wants []Want, can *[MaxWants]int, now int64) (changed bool) {
	var must, good [MaxWants]int
	Allocate(budget, wants, severe, must[:])
	Allocate(budget, wants, fits, good[:])
	late := now-a.mild >= mildTime
	for i := range wants {
		if g := &a.granted[i]; *g > can[i] && (late || *g > must[i]) {
			*g, changed = min(good[i], can[i]), true
		}
	}
	if !changed {
		return false
	}
	if a.upAt != 0 {
		a.hold = min(2*a.hold, lastHold)
	}
	a.downAt, a.upAt, a.mild = now, 0, 0
	return true
}

func (a *Allocator) raise(wants []Want, more *[MaxWants]int, now int64) {
	for i := range wants {
		a.granted[i] = max(a.granted[i], more[i])
	}
	a.upAt, a.rising = now, 0
}

// Forgive forgets the steps so far: the next one up need not wait for them.
func (a *Allocator) Forgive() { a.downAt, a.upAt, a.hold, a.rising, a.mild = 0, 0, firstHold, 0, 0 }

// Granted is how many layers of the track at a place among the wants are served.
func (a *Allocator) Granted(i int) int { return a.granted[i] }

// Lacks is what the network would have to carry, in bits per second, for the subscriber to get all that it wants, and 0
// when it has that. While the subscriber must wait for its next step up there is no point in finding out.
func (a *Allocator) Lacks(wants []Want, now int64) float64 {
	need, lacks := 0.0, false
	for i := range wants[:min(len(wants), MaxWants)] {
		w := &wants[i]
		if n := len(w.Rates); n > 0 {
			need += rise.cost(w, n)
			lacks = lacks || a.granted[i] < n
		}
	}
	if !lacks || a.downAt != 0 && now-a.downAt < a.hold-searchTime {
		return 0
	}
	return max(need, AudioOnly) * 1.02
}

// searchTime is about what it takes to find out whether a network carries more, in microseconds.
const searchTime = 3_000_000

// Unknown is the budget of a subscriber whose network nobody knows.
var Unknown = math.Inf(1)
