package edge

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"github.com/pion/rtcp"

	"lyceum/edge/forward"
	"lyceum/mesh/media"
)

const (
	// soundRate is what is set aside for the teacher's voice, in bits per second: Opus as browsers send it, with headers.
	soundRate = 40_000
	// soundRepair is how much sound may be sent again, in bytes per second: 50 packets of up to 200 bytes, a fifth of them.
	soundRepair = 2000
	// maxProbers is how many students of a room are probed for at once. The others take their turn.
	maxProbers = 32
	// tolerable is by what factor the rest of a layer may be too much until there is a keyframe of the next.
	tolerable = 1.25
	// catchUp is by what factor a picture that is pulled from the ring may exceed what its network carries.
	catchUp = 1.2
	// padding is the most that a packet can have (RFC 3550, section 5.1).
	padding = 255
	// repeats is how many of the newest packets a burst repeats, one after the other.
	repeats = 48

	// Times in microseconds.
	cutTime   = 400_000    // how long nothing of a picture is sent that was too much
	drainTime = 1_500_000  // how long hardly anything is sent again after a sign of congestion
	longest   = 4_000_000  // how long a live keyframe is waited for where there is no room for a replay
	calm      = 3_000_000  // after a sign of congestion, before a burst
	tryTime   = 10_000_000 // between two tries at more where there cannot be bursts
)

// ErrNoLayer: the subscriber asks for a layer that the teacher does not send.
var ErrNoLayer = errors.New("the picture has no such layer")

// Wish is what a subscriber wants of the picture. The zero value is all that its network carries.
type Wish struct {
	// RID is the best layer that it wants, by the publisher's name; "" is any.
	RID string
	// MaxWidth and MaxHeight bound the layer in pixels; 0 is no bound. The lowest layer is served whatever its size.
	MaxWidth, MaxHeight int
	// MaxBitrate bounds sound and picture together, in bits per second: a budget of data; 0 is no bound.
	MaxBitrate int
	// AudioOnly wants no picture.
	AudioOnly bool
}

// Showing is what a subscriber gets to see.
type Showing uint8

const (
	// ShowsAll is the best that the teacher sends.
	ShowsAll Showing = iota
	// ShowsLess is a lower layer, because the network carries no more.
	ShowsLess
	// ShowsNothing is sound alone, because the network carries no more.
	ShowsNothing
	// ShowsWished is what the subscriber has wished for, less than there is.
	ShowsWished
)

func (s Showing) String() string {
	return [...]string{"all", "less", "audio-only", "as wished"}[s]
}

// picture is what is known of a subscriber's network and what is made of it: how many layers it gets. It belongs to the leg
// of its camera and is guarded by that leg's mu, but for probing.
type picture struct {
	estimator forward.Estimator
	allocator forward.Allocator
	prober    forward.Prober
	wish      Wish
	speech    [1]float64
	rates     [media.MaxLayers]float64 // what the layers need, from worst to best
	allowed   int                      // how many of these the wish allows
	wants     [2]forward.Want          // speech, camera
	off       bool                     // there is no picture
	resumeAt  int64                    // after a cut, while the queue drains
	credit    float64                  // bytes of repair that the network has room for
	creditAt  int64
	ready     float64 // bytes that may be pulled from the ring now
	readyAt   int64
	useless   uint64 // what was sent under indices below is of no use any more
	triedAt   int64  // when more was last tried without a burst
	repeat    int    // the next packet to repeat
	padded    bool   // the burst has nothing to repeat

	reports [4]sentReport // the last sender reports, the oldest to be overwritten next
	report  int           // its place

	probing atomic.Bool // as the prober says, for those who do not hold mu
}

// known is the estimate, 0 for none.
func (pi *picture) known() float64 {
	if v := pi.estimator.Value(); !math.IsInf(v, 1) {
		return v
	}
	return 0
}

// sentReport is a sender report: the middle of its NTP time, and when it was sent.
type sentReport struct {
	ntp uint32
	at  int64
}

// reported remembers a sender report, for the round trip.
func (pi *picture) reported(ntp uint64, now int64) {
	pi.reports[pi.report] = sentReport{uint32(ntp >> 16), now}
	pi.report = (pi.report + 1) % len(pi.reports)
}

// trip is the round trip in microseconds by a report that names one of the last sender reports, 0 for none (RFC 3550,
// section 6.4.1).
func (pi *picture) trip(r *rtcp.ReceptionReport, now int64) int64 {
	for _, sr := range pi.reports {
		if sr.at != 0 && sr.ntp == r.LastSenderReport {
			return max(0, now-sr.at-int64(r.Delay)*1e6/65536)
		}
	}
	return 0
}

// departure is a time as abs-send-time tells it: seconds in 24 bits, of which 18 are the fraction.
func departure(now int64) uint32 { return uint32(uint64(now) << 18 / 1e6 & 0xffffff) }

// granted is how many layers of the track the subscriber is served, at least 1: whether it is served at all says off.
func (l *leg) granted() int {
	if l.kind == media.Audio {
		return len(l.order)
	}
	return min(max(l.picture.allocator.Granted(1), 1), len(l.order))
}

// measure learns what the layers need, and which of them the subscriber wants.
func (l *leg) measure(p *pump) {
	if l.kind == media.Audio {
		return
	}
	pi, info, n := &l.picture, p.state.Info.Layers, len(l.order)
	pi.allowed = 0
	named := false
	for i := range n { // from worst to best
		layer := l.order[n-1-i]
		if int(layer) >= len(info) {
			break
		}
		in := &info[layer]
		pi.rates[i] = float64(in.Bitrate)
		w := &pi.wish
		fits := (w.MaxWidth == 0 || int(in.Width) <= w.MaxWidth) && (w.MaxHeight == 0 || int(in.Height) <= w.MaxHeight)
		if i == 0 || fits && !named {
			pi.allowed = i + 1
		}
		named = named || w.RID != "" && in.RID == w.RID
	}
	if pi.wish.AudioOnly {
		pi.allowed = 0
	}
	pi.speech[0] = soundRate
	pi.wants = [2]forward.Want{{Class: forward.Speech, Rates: pi.speech[:]}, {Class: forward.Camera, Rates: pi.rates[:pi.allowed]}}
}

// budget is what there is for sound and picture, in bits per second. Players report about the picture alone.
func (pi *picture) budget() float64 {
	b := pi.estimator.Value() + soundRate
	if pi.wish.MaxBitrate > 0 {
		b = min(b, float64(pi.wish.MaxBitrate))
	}
	return b
}

// decide decides anew what the subscriber gets, and reports whether it has changed.
func (l *leg) decide(p *pump, now int64) bool {
	pi := &l.picture
	if l.kind == media.Audio || len(l.order) == 0 {
		return false
	}
	before, was := l.granted(), pi.off
	pi.allocator.Decide(pi.budget(), pi.wants[:], now)
	pi.off = pi.allocator.Granted(1) == 0
	after := l.granted()
	if after == before && pi.off == was {
		return false
	}
	l.aim()
	switch layer, playing := l.selector.Playing(); {
	case pi.off:
		l.cut(now)
		p.metrics.silenced.Inc()
	case was || after > before:
		if was {
			l.restart(now)
		}
		pi.prober.Reward()
		p.metrics.raised.Inc()
	default:
		if playing && l.needs(layer) > pi.budget()*tolerable {
			l.cut(now)
		}
		p.metrics.lowered.Inc()
	}
	return true
}

// mayRepair reports whether the network has room to send something again. One that has shown its limit has a quarter of it:
// a queue that overflows loses what is sent again as well, and players then ask for all of it again and again. Sound has as
// much as repairs a fifth of it, and some saved up for a moment in which all is lost.
func (pi *picture) mayRepair(kind media.Kind, now int64) bool {
	share := pi.estimator.Value() / 4 / 8
	most := max(share/4, 2*media.MaxPayload)
	switch {
	case kind == media.Audio:
		share, most = soundRepair, 2*soundRepair
	case math.IsInf(share, 1):
		pi.credit, pi.creditAt = 0, now
		return true
	}
	if kind == media.Video && !pi.estimator.Quiet(drainTime, now) {
		share /= 4 // the queue that has just been noticed must empty first
	}
	pi.credit = min(pi.credit+share*float64(now-pi.creditAt)/1e6, most)
	pi.creditAt = now
	return pi.credit >= 0
}

// refill says how much may be pulled from the ring by now. A keyframe is several times as large as other frames, and a queue
// on a network that is known to be narrow would hold up the sound behind it; so it goes no faster than that network, and a
// little faster than the layer itself, to catch up.
func (pi *picture) refill(needs float64, now int64) {
	most := float64(trainLength * media.MaxPayload)
	if known := pi.known(); known > 0 && !math.IsInf(needs, 1) {
		most = min(most, pi.ready+max(known, needs)*catchUp/8e6*float64(now-pi.readyAt))
	}
	pi.ready, pi.readyAt = most, now
}

// cut stops a picture that is more than the network carries at once: the rest of it, and repair of what was lost of it, would
// only lengthen the queue, in which sound waits as well.
func (l *leg) cut(now int64) {
	l.restart(now)
	l.picture.useless = l.rewriter.Next()
	l.picture.resumeAt = now + cutTime
	l.picture.estimator.Surge(l.picture.resumeAt)
}

// mayReplay reports whether the network has room for a replay of the layer aimed at, which takes several times its rate. It
// is granted nevertheless to whoever has waited long for a live keyframe.
func (l *leg) mayReplay(now int64) bool {
	e := &l.picture.estimator
	room := e.Quiet(calm, now) && l.needs(l.selector.Target())*forward.ReplaySpeed <= e.Value()
	return room || l.kind == media.Audio || now-l.since > longest
}

// needs is what a layer needs in bits per second.
func (l *leg) needs(layer media.Layer) float64 {
	at := slices.Index(l.order, layer)
	if at < 0 {
		return math.Inf(1) // it is gone
	}
	return l.picture.rates[len(l.order)-1-at]
}

// showing says what the subscriber gets to see.
func (l *leg) showing() Showing {
	l.mu.Lock()
	defer l.mu.Unlock()
	pi := &l.picture
	switch granted := pi.allocator.Granted(1); {
	case len(l.order) == 0 || granted == len(l.order):
		return ShowsAll
	case granted >= pi.allowed:
		return ShowsWished
	case granted == 0:
		return ShowsNothing
	default:
		return ShowsLess
	}
}

// Prefer says what the subscriber wants of the picture, from now on. It returns ErrNoLayer for the name of a layer that the
// teacher does not send.
func (s *Subscriber) Prefer(w Wish) error {
	l, p := s.camera()
	if l == nil {
		return fmt.Errorf("prefer a layer: %w: the session has no picture", ErrNoLayer)
	}
	if w.MaxWidth < 0 || w.MaxHeight < 0 || w.MaxBitrate < 0 {
		return fmt.Errorf("prefer a layer: %w: its bounds are negative", ErrNoLayer)
	}
	if st := p.track.State(); w.RID != "" && !slices.ContainsFunc(st.Info.Layers, func(i media.LayerInfo) bool { return i.RID == w.RID }) {
		return fmt.Errorf("prefer layer %q: %w", w.RID, ErrNoLayer)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.picture.wish = w
	return nil
}

// Layers lists the layers that the teacher sends, from best to worst.
func (s *Subscriber) Layers() []media.LayerInfo {
	_, p := s.camera()
	if p == nil {
		return nil
	}
	st := p.track.State()
	list := make([]media.LayerInfo, 0, len(st.Info.Layers))
	for _, layer := range forward.Order(st.Info.Layers) {
		list = append(list, st.Info.Layers[layer])
	}
	return list
}

// Showing says what the subscriber gets to see, and what of it is wished for.
func (s *Subscriber) Showing() Showing {
	if l, _ := s.camera(); l != nil {
		return l.showing()
	}
	return ShowsAll
}
