package link

import (
	"time"

	"github.com/quic-go/quic-go"
)

const (
	// muteAfter is how long a stripe may leave what is written to it unanswered, besides two round trips, before it is
	// given nothing more: acknowledgements are delayed by 25 ms, and a lost one is made good by the next.
	muteAfter = 200 * time.Millisecond
	// redialAfter is how long a stripe may be mute, while others are not, before it is dialled again.
	redialAfter = 800 * time.Millisecond
)

// answers watches whether anything comes back on a stripe. A way that loses everything, while those of other stripes do
// not, is common where routers balance by port; QUIC itself would go on to repeat and wait for many seconds.
type answers struct {
	received uint64    // bytes, at the last look
	heard    time.Time // when they grew last
	wrote    time.Time // when something was written last
	since    time.Time // the earliest write that is unanswered; zero for none
	resent   bool      // what the stripe has was sent again by others
}

func (a *answers) write(now time.Time) {
	a.wrote = now
	if a.since.IsZero() {
		a.since = now
	}
}

func (a *answers) look(now time.Time, st *quic.ConnectionStats) {
	if st.BytesReceived == a.received {
		return
	}
	a.received, a.heard, a.since, a.resent = st.BytesReceived, now, time.Time{}, false
	if now.Sub(a.wrote) < st.SmoothedRTT {
		a.since = now // what was written since a round trip cannot be answered yet
	}
}

// silence is how long the stripe has been mute, 0 or less if it is not.
func (a *answers) silence(now time.Time, st *quic.ConnectionStats) time.Duration {
	if a.since.IsZero() {
		return 0
	}
	return now.Sub(a.since) - 2*st.SmoothedRTT - muteAfter
}

// traffic is what a stripe had sent and lost at the last look.
type traffic struct{ sent, lost, bytes, bytesLost uint64 }

// since returns the packets that came on top, and the bytes of those that were not lost. A loss may turn out to be none.
func (t *traffic) since(st *quic.ConnectionStats) (sent, lost, passed float64) {
	sent, lost = float64(st.PacketsSent-t.sent), float64(int64(st.PacketsLost-t.lost))
	passed = float64(st.BytesSent-t.bytes) - float64(int64(st.BytesLost-t.bytesLost))
	*t = traffic{st.PacketsSent, st.PacketsLost, st.BytesSent, st.BytesLost}
	return sent, lost, passed
}
