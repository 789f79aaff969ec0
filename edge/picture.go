package edge

import (
	"errors"
	"math"
	"slices"

	"lyceum/edge/forward"
	"lyceum/mesh/media"
)

const (
	// soundRate is what is set aside for the teacher's voice, in bits per second: Opus as browsers send it, with headers.
	soundRate = 40_000
	// soundRepair is how much sound may be sent again, in bytes per second: 50 packets of up to 200 bytes, a fifth of them.
	soundRepair = 2000
	// maxProbers is how many students of a pump are probed for before no further burst begins. The others take their turn.
	maxProbers = 32
	// tolerable is by what factor the rest of a layer may be too much until there is a keyframe of the next.
	tolerable = 1.25
	// catchUp is by what factor a picture that is pulled from the ring may exceed what its network carries.
	catchUp = 1.2
	// maxPictures is how many pictures a subscriber can have at once: the camera and the screen.
	maxPictures = 2
	// padding is the most that a packet can have (RFC 3550, section 5.1).
	padding = 255
	// repeats is how many of the newest packets a burst repeats, one after the other.
	repeats = 48

	// Times in microseconds.
	cutTime = 400_000    // how long nothing of a picture is sent that was too much
	longest = 4_000_000  // how long a live keyframe is waited for where there is no room for a replay
	calm    = 3_000_000  // after a sign of congestion, before a burst
	tryTime = 10_000_000 // between two tries at more where there cannot be bursts
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

// picture is what one leg makes of the network. It is guarded by the leg's mu.
type picture struct {
	infos    []media.LayerInfo        // the track's layers
	live     bool                     // somebody sends the track
	class    forward.Class            // what the track is to a subscriber
	rates    [media.MaxLayers]float64 // what the layers need, from worst to best
	allowed  int                      // how many of these the wish allows
	granted  int                      // how many of these the subscriber gets
	off      bool                     // there is no picture
	resumeAt int64                    // after a cut, while the queue drains
	ready    float64                  // bytes that may be pulled from the ring now
	readyAt  int64
	useless  uint64 // what was sent under indices below is of no use any more
	repeat   int    // the next packet to repeat
	padded   bool   // the burst has nothing to repeat
}

// departure is a time as abs-send-time tells it: seconds in 24 bits, of which 18 are the fraction.
func departure(now int64) uint32 { return uint32(uint64(now) << 18 / 1e6 & 0xffffff) }

// layers is how many layers of the track the subscriber is served, at least 1: whether it is served at all says off.
func (l *leg) layers() int {
	if l.kind == media.Audio {
		return len(l.order)
	}
	return min(max(l.picture.granted, 1), len(l.order))
}

// measure learns what the layers need, and which of them the subscriber wants.
func (l *leg) measure(p *pump) {
	if l.kind == media.Audio {
		return
	}
	pi, n := &l.picture, len(l.order)
	pi.infos, pi.live, pi.class, pi.allowed = p.plan.layers, p.state.Live, p.class, 0
	w, named := &l.net.wish, false
	for i := range n { // from worst to best
		layer := l.order[n-1-i]
		if int(layer) >= len(pi.infos) {
			break
		}
		in := &pi.infos[layer]
		pi.rates[i] = float64(in.Bitrate)
		fits := (w.MaxWidth == 0 || int(in.Width) <= w.MaxWidth) && (w.MaxHeight == 0 || int(in.Height) <= w.MaxHeight)
		if i == 0 || fits && !named {
			pi.allowed = i + 1
		}
		named = named || w.RID != "" && in.RID == w.RID
	}
	if w.AudioOnly {
		pi.allowed = 0
	}
}

// decide decides anew what the subscriber gets of all its pictures, and reports whether that of this leg has changed.
func (l *leg) decide(p *pump, now int64) bool {
	if l.kind == media.Audio {
		return false
	}
	n := l.net
	n.divide(now)
	changed := false
	for i, o := range n.legs {
		if len(o.order) == 0 || !o.picture.live || !o.grant(n.allocator.Granted(i+1), p.metrics, now) {
			continue
		}
		if o == l {
			changed = true
		} else if at := o.at.Load(); at != nil {
			at.poke()
		}
	}
	return changed
}

// grant gives the leg so many layers, and reports whether that is a change.
func (l *leg) grant(layers int, m *metrics, now int64) bool {
	pi := &l.picture
	before, was := l.layers(), pi.off
	pi.granted, pi.off = layers, layers == 0
	after := l.layers()
	if after == before && pi.off == was {
		return false
	}
	l.aim()
	switch layer, playing := l.selector.Playing(); {
	case pi.off:
		l.cut(now)
		m.silenced.Inc()
	case was || after > before:
		if was {
			l.restart(now)
		}
		l.net.prober.Reward()
		m.raised.Inc()
	default:
		if playing && l.needs(layer) > l.net.budget()*tolerable {
			l.cut(now)
		}
		m.lowered.Inc()
	}
	return true
}

// refill says how much may be pulled from the ring by now. A keyframe is several times as large as other frames, and a queue
// on a network that is known to be narrow would hold up the sound behind it; so it goes no faster than that network, and a
// little faster than the layer itself, to catch up.
func (l *leg) refill(needs float64, now int64) {
	pi := &l.picture
	most := float64(trainLength * media.MaxPayload)
	if known := l.net.known(); known > 0 && !math.IsInf(needs, 1) {
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
	l.net.estimator.Surge(l.picture.resumeAt)
}

// mayReplay reports whether the network has room for a replay of the layer aimed at, which takes several times its rate. It
// is granted nevertheless to whoever has waited long for a live keyframe.
func (l *leg) mayReplay(now int64) bool {
	e := &l.net.estimator
	room := e.Quiet(calm, now) && l.needs(l.selector.Target())*forward.ReplaySpeed <= e.Value()
	return room || l.kind == media.Audio || now-l.since > longest
}

// needs is what a layer needs in bits per second.
func (l *leg) needs(layer media.Layer) float64 {
	if l.svc {
		layer = media.Layer(min(int(l.levels.Target()), len(l.order)-1))
	}
	at := slices.Index(l.order, layer)
	if at < 0 {
		return math.Inf(1) // it is gone
	}
	return l.picture.rates[len(l.order)-1-at]
}
