package forward

import "math"

const (
	// lossy is a fraction lost that only a queue that overflows explains; below it repair hides what the air loses.
	lossy = 0.10
	// clean is a fraction lost that says nothing.
	clean = 0.02
	// ruinous is a fraction lost that no picture survives.
	ruinous = 0.30
	// airy is a rate, in bits per second, at which a loss that is not ruinous is taken for that of the air.
	airy = 200_000
	// least is the lowest rate that is told from another: there is no picture anyway.
	least = 60_000
	// poor is by what factor more than that may be sent for a loss, or a queue, to mean that not even airy is carried.
	poor = 1.5
	// heard is by how much more of the sound than of the picture must be lost to say something: a report of sound is about
	// few packets.
	heard = 0.12
	// fewest is how many packets a report must be about to be believed.
	fewest = 10

	// steep is a limit so far below what is sent that the network has become much narrower. Players measure over a second,
	// most of which lies before that: rest is about what of the limit will be left.
	steep, rest = 0.6, 0.4
	// fall and growth are by what factor a limit must change to tell something.
	fall, growth = 0.97, 1.004
	// doubt is how far a first limit may lie below what is sent before it is taken for a sign of congestion.
	doubt = 0.7
	// little is how far a limit lies below what is sent when nearly all of that has arrived.
	little = 0.8
	// ample is how far a limit must lie above what is sent to say that this is not too much, though it does not grow.
	ample = 1.3
	// highest bounds what players claim, in bits per second.
	highest = 1e9

	// Times in microseconds.
	sampleTime  = 80_000    // between two samples of what was sent
	echo        = 400_000   // from sending until a limit can tell of it
	span        = 500_000   // over which what was sent is measured
	flatTime    = 1_300_000 // how long a limit below what is sent may fail to grow while a burst lasts
	silence     = 1_600_000 // how long there may be no limit that grows while a burst lasts, whether one comes or not
	startTime   = 300_000   // how much longer where nothing was sent before
	stuckTime   = 2_000_000 // the same at any other time
	surgeTime   = 1_500_000 // after a surge, while players measure it
	forget      = 5_000_000 // how long a limit is remembered
	settled     = 2_500_000 // after a sign of congestion, while reports of loss are about the time before it
	trust       = 2_000_000 // after a burst, while what it has shown is believed more than a limit of the moment
	relief      = 1_000_000 // after a sign of congestion, while nothing good is believed
	longestTrip = 500_000   // beyond it a round trip says nothing about the next
	queueing    = 120_000   // by how much the round trip grows when a queue builds up
)

// Estimator estimates what the network to one subscriber carries by what the subscriber reports. Players tell a limit
// (REMB) that falls when packets queue up and grows, some percent a second and to half as much again as they receive,
// while they do not. So a limit that falls is believed; a limit that grows means that all that was sent has arrived in
// time, however low it is itself. Heavy loss and a round trip that grows are signs as well, of which the first says how
// much has arrived. The zero value is ready.
type Estimator struct {
	value float64 // bits per second, 0 before the first sign of congestion

	// The player's limit.
	told   float64 // the newest, 0 for none
	toldAt int64
	base   float64 // from which it must grow to tell something good
	baseAt int64

	// What was sent: byte counts at fixed times, the newest last.
	samples  [24]sample
	sampled  int // how many there are, at most the length
	at       int // where the next one goes
	bursting bool
	before   float64 // the value when the burst, or the last hope, began
	hopedAt  int64   // 0 for never
	proven   float64 // what the last burst has shown, 0 if it met a sign of congestion
	provenAt int64

	// The last receiver report.
	bytes    uint64
	reportAt int64
	loss     float64 // smoothed, of quiet times
	trip     int64   // the shortest round trip of late, 0 for unknown
	newest   int64   // the newest round trip, 0 for unknown
	lossy    bool    // more was lost than the air loses
	poor     int     // in how many reports in a row hardly anything was sent and not all of it arrived in time
	grown    int     // how many round trips in a row were longer by a queue

	surgeTo int64 // until when limits are about a surge
	signs   uint64
	signAt  int64 // 0 for never
}

type sample struct {
	at    int64
	bytes uint64
}

// Sent takes in how many bytes of payload and padding have been sent so far, repair included. It is called often, at least
// once in some hundred milliseconds.
func (e *Estimator) Sent(bytes uint64, now int64) {
	if e.reportAt == 0 {
		e.bytes, e.reportAt = bytes, now
	}
	if last := e.samples[(e.at+len(e.samples)-1)%len(e.samples)]; e.sampled > 0 && now-last.at < sampleTime {
		return
	}
	e.samples[e.at] = sample{now, bytes}
	e.at = (e.at + 1) % len(e.samples)
	e.sampled = min(e.sampled+1, len(e.samples))
	if e.bursting && e.told > 0 && now-e.baseAt > silence {
		e.baseAt = now
		e.sign(now) // what reports go back, or what they would report, is stuck in a queue
	}
}

// rate is what was sent between two times, in bits per second; 0 when that is not known.
func (e *Estimator) rate(from, to int64) float64 {
	var a, b sample
	for i := range e.sampled {
		s := e.samples[(e.at-e.sampled+i+len(e.samples))%len(e.samples)]
		if a.at == 0 && s.at >= from {
			a = s
		}
		if s.at <= to {
			b = s
		}
	}
	if a.at == 0 || b.at <= a.at {
		return 0
	}
	return float64(b.bytes-a.bytes) * 8e6 / float64(b.at-a.at)
}

// carried is what was sent some time ago, of which the newest reports can know.
func (e *Estimator) carried(now int64) float64 { return e.rate(now-echo-span, now-echo) }

// Surge says that until now much more or less was sent than will be: the past was replayed, or the picture was cut. Players
// tell limits that are about that for a while.
func (e *Estimator) Surge(now int64) { e.surgeTo = now + surgeTime }

// Burst says whether more is sent than media, to find out what the network carries. Signs are then looked for closely; but
// where there was no media before, a player's limit cannot grow until it has measured for a while.
func (e *Estimator) Burst(on, media bool, now int64) {
	if e.bursting && !on {
		if e.proven, e.provenAt = e.value, now; !e.Quiet(trust, now) {
			e.proven = 0
		}
	}
	if !e.Tells(now) {
		e.told = 0 // a player that has stopped telling is not waited for
	}
	e.bursting, e.before = on, e.value
	e.base, e.baseAt = e.told, now
	if !media {
		e.baseAt += startTime
	}
}

// Limit takes in a player's own estimate, in bits per second. What is not a number, or beyond reason, is cut to size.
func (e *Estimator) Limit(bps float64, now int64) {
	if !(bps >= 0) { // not a number is neither
		return
	}
	bps = min(bps, highest)
	was := e.told
	if now-e.toldAt > forget {
		was = 0
	}
	sent := e.carried(now)
	if e.bursting {
		sent = max(sent, e.rate(now-span, now)) // it has grown since
	}
	e.told, e.toldAt = bps, now
	switch {
	case was > 0 && bps < was*fall, was == 0 && !e.bursting && now >= e.surgeTo && sent > 0 && bps < sent*doubt:
		e.base, e.baseAt = bps, now
		switch {
		case e.bursting:
			bps = max(bps, e.before) // the sign is about the burst
		case e.proven > 0 && now-e.provenAt < trust:
			bps = max(bps, e.proven*little) // the keyframe of the step up that has followed waits in a queue for a moment
		case now < e.surgeTo:
			bps /= little // what arrives of a surge, or after a pause, says little about the rest
		case bps < sent*steep && (was == 0 || bps < was*steep):
			bps *= rest
		}
		if e.poor == 0 {
			bps = max(bps, airy) // a limit is about what was sent, and of a little nearly all may arrive
		}
		e.value = min(e.Value(), max(bps, least))
		e.sign(now)
	case was == 0 || bps >= e.base*growth:
		e.base, e.baseAt = bps, now
		e.good(max(bps, e.carried(now)), now)
	case bps >= sent*ample: // players let a limit grow no further
		e.baseAt = max(e.baseAt, now)
		e.good(e.carried(now), now)
	case bps < sent*e.near() && now-e.baseAt > e.patience():
		e.base, e.baseAt = bps, now
		switch {
		case e.bursting:
			e.sign(now)
		case bps > sent*steep: // one far below only lags behind
			e.value = min(e.Value(), bps)
		}
	}
}

// near is how close to what is sent a limit must be to be none.
func (e *Estimator) near() float64 {
	if e.bursting {
		return 0.95
	}
	return 0.88 // 0.85 is what players make of what arrives when a queue grows
}

func (e *Estimator) patience() int64 {
	if e.bursting {
		return flatTime
	}
	return stuckTime
}

// good takes in what the network has carried. While nothing else is known that says nothing: it may carry all there is.
func (e *Estimator) good(bps float64, now int64) {
	if e.value > 0 && now-e.signAt >= relief && !e.Overflows(now) {
		e.value = max(e.value, bps)
	}
}

// Hope raises the value without any evidence, for a subscriber on whom more can only be tried out.
func (e *Estimator) Hope(bps float64, now int64) {
	if e.value > 0 && bps > e.value {
		e.before, e.hopedAt = e.value, now
		e.value = bps
	}
}

func (e *Estimator) sign(now int64) {
	e.signs++
	e.signAt = now
}

// Report takes in the fraction that was lost of so many packets since the last report, by a receiver report that has come
// now, and the round trip in microseconds, 0 if it is not known. So many bytes have been sent so far.
func (e *Estimator) Report(lost float64, count uint64, trip int64, bytes uint64, now int64) {
	passed, amount := now-e.reportAt, float64(bytes-e.bytes)
	if e.reportAt == 0 || count < fewest || passed < sampleTime {
		return
	}
	e.bytes, e.reportAt = bytes, now
	e.grown = e.travelled(trip)
	sent := amount * 8e6 / float64(passed)
	e.lossy = lost > lossy
	if sent < airy*poor && (lost > lossy || e.grown > 0) {
		e.poor++
	} else {
		e.poor = 0
	}
	noise := math.Sqrt(max(e.loss, clean) / float64(count))
	switch excess := lost - e.loss; {
	case e.bursting && (e.grown > 0 || excess > max(2*clean, 2.5*noise)):
		e.sign(now) // of the burst; what there was before it is still carried
	case e.poor > 1 && lost > lossy && !e.bursting:
		e.value = min(e.Value(), max(sent*(1-lost), least))
		e.sign(now)
	case lost > lossy && excess > max(0.05, 3*noise) && (e.signAt == 0 || now-e.signAt >= settled):
		got := sent * (1 - lost)
		switch {
		case e.hopedAt != 0 && now-e.hopedAt < 2*settled:
			got = max(got, e.before) // the try was too much; what there was before it is still carried
		case lost < ruinous && e.poor == 0:
			got = max(got, airy)
		case e.Quiet(2*settled, now): // a part of what was sent came before the network became narrower
			got *= rest
		}
		e.value = min(e.Value(), got)
		e.sign(now)
	case e.grown > 1 && !e.Tells(now) || e.grown > 2 && e.told < sent*steep && now-e.baseAt > stuckTime:
		// The player's limit is none, or lags behind, and what is sent has waited in a queue for some reports.
		e.value = min(e.Value(), sent*little)
		e.sign(now)
	case now-e.toldAt > forget && e.grown == 0 && excess <= max(clean, 2*noise):
		// Nobody tells a limit: what has arrived is all that is known, and a report tells it late.
		e.good(e.rate(now-passed-sampleTime, now-passed/2), now)
	}
	if !e.bursting {
		e.loss += (min(lost, 2*lossy) - e.loss) / 4
	}
}

// travelled takes in a round trip, and returns how many in a row have grown by a queue.
func (e *Estimator) travelled(trip int64) (grown int) {
	if trip > 0 {
		e.newest = min(trip, longestTrip)
	}
	switch {
	case trip <= 0:
		return 0
	case e.trip == 0 || trip < e.trip:
		e.trip = trip
	case trip > e.trip+queueing:
		grown = e.grown + 1
		fallthrough
	default:
		e.trip += (trip - e.trip) / 64 // ways change
	}
	return grown
}

// Full says that packets have just met a queue that grows. It matters while a burst lasts: a limit falls only if it is above
// what arrives.
func (e *Estimator) Full(now int64) {
	if e.bursting {
		e.sign(now)
	}
}

// Heard takes in the fraction of sound that was lost. It matters while a burst lasts, which must not cost any.
func (e *Estimator) Heard(lost float64, now int64) {
	if e.bursting && lost > e.loss+heard {
		e.sign(now)
	}
}

// Value is what the network carries in bits per second, +Inf until there is a first sign of congestion.
func (e *Estimator) Value() float64 {
	if e.value == 0 {
		return math.Inf(1)
	}
	return e.value
}

// Trip is the newest round trip in microseconds, queues included, and at most half a second; 0 while it is not known.
func (e *Estimator) Trip() int64 { return e.newest }

// Tells reports whether the player tells a limit.
func (e *Estimator) Tells(now int64) bool { return e.told > 0 && now-e.toldAt <= forget }

// Overflows reports whether, by the last report, more is lost than the air loses.
func (e *Estimator) Overflows(now int64) bool { return e.lossy && now-e.reportAt < settled }

// Signs counts the signs of congestion.
func (e *Estimator) Signs() uint64 { return e.signs }

// Quiet reports whether there has been no sign of congestion for so many microseconds.
func (e *Estimator) Quiet(micros, now int64) bool { return e.signAt == 0 || now-e.signAt >= micros }
