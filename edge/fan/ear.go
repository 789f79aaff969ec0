package fan

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pion/srtp/v3"
)

const (
	// earRate and earBurst bound the RTCP packets of one student that are opened, in packets a second and at once. A browser
	// sends some ten a second, and more for a moment when much is lost.
	earRate  = 200
	earBurst = 400
	// earSenders is how many SSRCs one student may send RTCP from: each is remembered against replays.
	earSenders = 16
)

// Ear opens the RTCP of one student as it comes from the socket, without the way through a peer connection, which wakes five
// goroutines for each packet. What comes too fast, from too many SSRCs, twice, or under other keys is dropped and counted.
type Ear struct {
	// Set by Keys.Ear, never changed.
	hear func(packet []byte)

	mu sync.Mutex
	// Guarded by mu.
	context *srtp.Context
	senders []uint32
	plain   []byte
	tokens  float64
	at      time.Time // when the tokens were last counted
	closed  bool
}

// Ear makes what opens the student's RTCP, once the connection is up. It gives hear each compound packet, in memory that is
// used again, one after the other. The socket's reader calls it, so that it must be quick.
func (k *Keys) Ear(hear func(packet []byte)) (*Ear, error) {
	c, err := k.session()
	if err != nil {
		return nil, fmt.Errorf("open feedback: %w", err)
	}
	context, err := srtp.CreateContext(c.Keys.RemoteMasterKey, c.Keys.RemoteMasterSalt, c.Profile, srtp.SRTCPReplayProtection(64))
	if err != nil {
		return nil, fmt.Errorf("open feedback: %w", err)
	}
	return &Ear{hear: hear, context: context, tokens: earBurst, at: time.Now()}, nil
}

// Listen lets an ear hear what comes from a path's address. An ear may be moved from path to path.
func (p *Path) Listen(e *Ear) {
	p.conn.earsMu.Lock()
	defer p.conn.earsMu.Unlock()
	p.conn.ears[p.to] = e
}

// Leave ends what Listen began, if the address has not been given to another ear since.
func (p *Path) Leave(e *Ear) {
	p.conn.earsMu.Lock()
	defer p.conn.earsMu.Unlock()
	if p.conn.ears[p.to] == e {
		delete(p.conn.ears, p.to)
	}
}

// Close ends the ear: hear is not called any more once Close has returned.
func (e *Ear) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
}

// take opens a packet and hands it on.
func (e *Ear) take(b []byte, m *metrics) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	now := time.Now()
	e.tokens = min(earBurst, e.tokens+now.Sub(e.at).Seconds()*earRate)
	e.at = now
	if e.tokens < 1 {
		m.flood.Inc()
		return
	}
	e.tokens--
	sender := binary.BigEndian.Uint32(b[4:])
	known := slices.Contains(e.senders, sender)
	if !known && len(e.senders) == earSenders {
		m.flood.Inc()
		return
	}
	plain, err := e.context.DecryptRTCP(e.plain[:0], b, nil)
	if err != nil {
		m.unopened.Inc()
		return
	}
	if !known {
		e.senders = append(e.senders, sender)
	}
	e.plain = plain
	e.hear(plain)
}
