package edge

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pion/rtcp"

	"lyceum/edge/forward"
	"lyceum/mesh/media"
)

// network is what is known of the network to one subscriber, and how it is divided among the pictures that the subscriber
// asked for. All these share one lock, so that they can be decided on together; each piece of sound has a network of its own,
// of which only the credit counts.
type network struct {
	// Set before the first leg is served, never changed.
	legs []*leg // with a picture; the first one measures and looks for more

	mu sync.Mutex
	// Guarded by mu.
	estimator forward.Estimator
	allocator forward.Allocator
	prober    forward.Prober
	wish      Wish
	speech    [1]float64
	wants     [1 + maxPictures]forward.Want // speech, then one for each leg
	credit    float64                       // bytes of repair that there is room for
	creditAt  int64
	triedAt   int64 // when more was last tried without a burst

	reports [4]sentReport // the last sender reports, the oldest to be overwritten next
	report  int           // its place

	probing atomic.Bool // as the prober says, for those who do not hold mu
}

// sentReport is a sender report: the middle of its NTP time, and when it was sent.
type sentReport struct {
	ntp uint32
	at  int64
}

// known is the estimate, 0 for none.
func (n *network) known() float64 {
	if v := n.estimator.Value(); !math.IsInf(v, 1) {
		return v
	}
	return 0
}

// reported remembers a sender report, for the round trip.
func (n *network) reported(ntp uint64, now int64) {
	n.reports[n.report] = sentReport{uint32(ntp >> 16), now}
	n.report = (n.report + 1) % len(n.reports)
}

// trip is the round trip in microseconds by a report that names one of the last sender reports, 0 for none (RFC 3550,
// section 6.4.1).
func (n *network) trip(r *rtcp.ReceptionReport, now int64) int64 {
	for _, sr := range n.reports {
		if sr.at != 0 && sr.ntp == r.LastSenderReport {
			return max(0, now-sr.at-int64(r.Delay)*1e6/65536)
		}
	}
	return 0
}

// budget is what there is for sound and pictures, in bits per second. Players report about the pictures alone.
func (n *network) budget() float64 {
	b := n.estimator.Value() + soundRate
	if n.wish.MaxBitrate > 0 {
		b = min(b, float64(n.wish.MaxBitrate))
	}
	return b
}

// all lists what the subscriber could get.
func (n *network) all() []forward.Want {
	n.speech[0] = soundRate
	n.wants[0] = forward.Want{Class: forward.Speech, Rates: n.speech[:]}
	for i, l := range n.legs {
		n.wants[i+1] = forward.Want{Class: l.picture.class, Rates: l.picture.rates[:l.picture.allowed]}
	}
	return n.wants[:1+len(n.legs)]
}

// divide decides anew how many layers of each picture the network carries.
func (n *network) divide(now int64) { n.allocator.Decide(n.budget(), n.all(), now) }

// sent is how many bytes of pictures and repair have been sent so far.
func (n *network) sent() (bytes uint64) {
	for _, l := range n.legs {
		bytes += l.counts.all()
	}
	return bytes
}

// off reports whether there is no picture at all.
func (n *network) off() bool {
	return !slices.ContainsFunc(n.legs, func(l *leg) bool { return l.picture.live && !l.picture.off })
}

// pulling reports whether the past of a picture is being sent.
func (n *network) pulling() bool {
	return slices.ContainsFunc(n.legs, func(l *leg) bool { return l.pulling })
}

// step is what the network must carry for one layer more of the picture that comes first.
func (n *network) step() float64 {
	for i, l := range n.legs {
		if next := n.allocator.Granted(i + 1); next < l.picture.allowed {
			return max(l.picture.rates[next]*stepRoom, forward.AudioOnly)
		}
	}
	return 0
}

// lacks is what the network must carry of the pictures for the subscriber to get more of them, 0 when it has all or when there
// is no use in finding out.
func (n *network) lacks(now int64) float64 {
	lives := func(l *leg) bool { return l.open && l.picture.live }
	if n.estimator.Value() == forward.Unknown || !slices.ContainsFunc(n.legs, lives) {
		return 0
	}
	need := n.allocator.Lacks(n.all(), now)
	if most := float64(n.wish.MaxBitrate); most > 0 && need > most {
		need = most
	}
	if need -= soundRate; need <= n.estimator.Value() {
		return 0
	}
	return need
}

// maxSpare is how much repair a leg can save up, in bytes: all that one request can name, about a second of 2.5 Mbit/s.
const maxSpare = maxNacks * media.MaxPayload

// mayRepair reports whether the leg may send something again: the network has room for it, and it has sent as many bytes of
// media that it has not repaired yet. What its network carries is a student's own word, and it need not say any.
func (l *leg) mayRepair(now int64) bool {
	l.spare = min(l.spare+float64(l.counts.bytes-l.sparedAt), maxSpare)
	l.sparedAt = l.counts.bytes
	return l.net.mayRepair(l.kind, now) && l.spare >= 0
}

// mayRepair reports whether the network has room to send something again. One that has shown its limit has a quarter of it:
// a queue that overflows loses what is sent again as well, and players then ask for all of it again and again. Sound has as
// much as repairs a fifth of it, and some saved up for a moment in which all is lost.
func (n *network) mayRepair(kind media.Kind, now int64) bool {
	share := n.estimator.Value() / 4 / 8
	most := max(share/4, 2*media.MaxPayload)
	switch {
	case kind == media.Audio:
		share, most = soundRepair, 4*soundRepair
	case math.IsInf(share, 1):
		n.credit, n.creditAt = 0, now
		return true
	case n.estimator.Overflows(now):
		share /= 4 // a queue must empty first
	}
	n.credit = min(n.credit+share*float64(now-n.creditAt)/1e6, most)
	n.creditAt = now
	return n.credit >= 0
}

// showing says what the subscriber gets to see of a picture.
func (l *leg) showing() Showing {
	l.mu.Lock()
	defer l.mu.Unlock()
	pi := &l.picture
	switch {
	case !pi.live || len(l.order) == 0 || pi.granted >= len(l.order):
		return ShowsAll
	case pi.granted >= pi.allowed:
		return ShowsWished
	case pi.granted == 0:
		return ShowsNothing
	default:
		return ShowsLess
	}
}

// Prefer says what the subscriber wants of its pictures, from now on. It returns ErrNoLayer for the name of a layer that the
// teacher does not send.
func (s *Subscriber) Prefer(w Wish) error {
	l := s.lead()
	if l == nil {
		return fmt.Errorf("prefer a layer: %w: the session has no picture", ErrNoLayer)
	}
	if w.MaxWidth < 0 || w.MaxHeight < 0 || w.MaxBitrate < 0 {
		return fmt.Errorf("prefer a layer: %w: its bounds are negative", ErrNoLayer)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	named := func(i media.LayerInfo) bool { return i.RID == w.RID }
	if w.RID != "" && !slices.ContainsFunc(l.net.legs, func(o *leg) bool { return slices.ContainsFunc(o.offered(), named) }) {
		return fmt.Errorf("prefer layer %q: %w", w.RID, ErrNoLayer)
	}
	l.net.wish = w
	return nil
}

// offered is called with mu held. It lists the layers, or levels, of the leg's track, also before the leg was first served.
func (l *leg) offered() []media.LayerInfo {
	if l.picture.infos != nil {
		return l.picture.infos
	}
	st := l.at.Load().track.State()
	return st.Info.Layers
}

// Layers lists the layers, or levels, of the picture that the subscriber asked for first, from best to worst.
func (s *Subscriber) Layers() []media.LayerInfo {
	l := s.lead()
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	infos := l.offered()
	list := make([]media.LayerInfo, 0, len(infos))
	for _, layer := range forward.Order(infos) {
		list = append(list, infos[layer])
	}
	return list
}

// Showing says what the subscriber gets to see: of several pictures, the one of which it gets least.
func (s *Subscriber) Showing() Showing {
	least := ShowsAll
	for _, l := range s.legs {
		if l.kind == media.Video {
			least = max(least, l.showing())
		}
	}
	return least
}

// lead is the leg that speaks for the network, nil if the subscriber asked for no picture.
func (s *Subscriber) lead() *leg {
	for _, l := range s.legs {
		if l.kind == media.Video {
			return l
		}
	}
	return nil
}
