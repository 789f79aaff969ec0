package link

import (
	"errors"
	"time"
)

const (
	// maxGranted is how many subscriptions a child may be granted within askingTime. A node that loses its parent asks for
	// all of its tracks at once. Each holds its track for some seconds after it ends, so that asking and leaving again and
	// again would cost memory without bound, here and at the parents above.
	maxGranted = 2 * maxSubscriptions
	// maxAsked is how many it may ask for, be they granted or refused. Who is refused for a while, because this node has not
	// yet heard of a room's new owner, asks some ten times for each track.
	maxAsked   = 16 * maxSubscriptions
	askingTime = 10 * time.Second
	// shutOut is how long a child that was cut off for it gets no link: a new one would begin to count anew.
	shutOut = time.Minute
	// maxEndless is how many chunks in a row may come to no end within chunkTimeout, none whole among them, though the
	// parent is heard. Those that were under way on a stripe that has died are far fewer, and others come whole meanwhile.
	maxEndless = 256
)

// Why a link ends whose peer asks for too much.
var (
	errExcess  = errors.New("the child asks for one subscription after the other")
	errEndless = errors.New("the parent begins chunks and ends none")
)

// asking counts the subscriptions that a child asks for. It is owned by whoever serializes them.
type asking struct {
	since          time.Time
	asked, granted int
}

// ask counts one that is asked for, and reports whether that is too many.
func (a *asking) ask(now time.Time) (excess bool) {
	if now.Sub(a.since) >= askingTime {
		*a = asking{since: now}
	}
	a.asked++
	return a.asked > maxAsked || a.granted >= maxGranted
}

// grant counts one that is granted.
func (a *asking) grant() { a.granted++ }

// shut keeps a child out for a while.
func (l *Links) shut(node string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shutOut[node] = time.Now().Add(shutOut)
}

// isShutLocked reports whether a child is kept out.
func (l *Links) isShutLocked(node string) bool {
	until, ok := l.shutOut[node]
	if ok && !time.Now().Before(until) {
		delete(l.shutOut, node)
		return false
	}
	return ok
}
