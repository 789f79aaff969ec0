package fan

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
	"github.com/pion/webrtc/v4"
)

// Where the students' packets end.
const (
	// sinkTUN is a TUN device without offloads: the kernel cuts trains of packets up for it. Root on Linux only.
	sinkTUN = "tun"
	// sinkUSO is a TUN device that takes trains whole, as a network card with UDP segmentation offload does.
	sinkUSO = "uso"
	// sinkSocket is a socket on loopback for each student; the sender pays for the delivery.
	sinkSocket = "socket"
)

var sinks = []string{sinkTUN, sinkUSO, sinkSocket}

// serverAddress is where media is served when the students are behind a TUN device.
const serverAddress = "10.98.0.1"

// Students are all students, in a process of their own, as its parent calls them.
type Students struct {
	// Set by Open, never changed.
	network network
	shared  transport.Net
	cert    webrtc.Certificate
	client  *http.Client
	checks  int             // students who decrypt everything
	life    context.Context // ends with the process
	stop    context.CancelFunc
	running sync.WaitGroup

	// Owned by the calls, which come one after the other.
	waiting []*student // have an offer

	mu sync.Mutex
	// Guarded by mu.
	all []*student // have joined or tried to
}

// Opening is how the students are to be reached.
type Opening struct {
	// Sink is sinkTUN, sinkUSO or sinkSocket.
	Sink string
	// Checks is how many of the students decrypt all that they get.
	Checks int
}

// Open makes the students' network, and tells at what address a server must be for it.
func (s *Students) Open(o Opening, address *string) (err error) {
	switch o.Sink {
	case sinkTUN, sinkUSO:
		s.network, err = openTUN(o.Sink == sinkUSO)
		*address = serverAddress
	case sinkSocket:
		s.network = socketNetwork{}
		*address = "127.0.0.1"
	default:
		err = fmt.Errorf("%q is none of %v", o.Sink, sinks)
	}
	if err != nil {
		return err
	}
	s.checks = o.Checks
	if s.shared, err = stdnet.NewNet(); err != nil {
		return fmt.Errorf("list the interfaces of this machine: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	s.cert = *cert
	s.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}
	s.life, s.stop = context.WithCancel(context.Background())
	s.running.Go(func() { s.report(s.life) })
	return nil
}

// Prepare makes students with an offer each, so that to do so is no part of their joining.
func (s *Students) Prepare(n int, _ *struct{}) error {
	made := make([]*student, n)
	errs := make([]error, n)
	var next sync.Mutex
	i := 0
	var working sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		working.Go(func() {
			for {
				next.Lock()
				mine := i
				i++
				next.Unlock()
				if mine >= n {
					return
				}
				check := len(s.all)+len(s.waiting)+mine < s.checks
				made[mine], errs[mine] = newStudent(s.network, s.shared, s.cert, check)
			}
		})
	}
	working.Wait()
	for _, m := range made {
		if m != nil {
			s.waiting = append(s.waiting, m)
		}
	}
	return errors.Join(errs...)
}

// Joining is how the prepared students come.
type Joining struct {
	URL, Token string
	// Every is the time between two students; 0 lets them come as fast as they can.
	Every time.Duration
	// At is how many may be on their way at once; 0 means all.
	At int
	// Picture has each wait for its first whole keyframe.
	Picture bool
}

// Joined is what became of them.
type Joined struct {
	// Took is how long each took, from its POST to its connection or to its first whole keyframe, in no order.
	Took []time.Duration
	// Failed counts those who did not get there, and Why is what the last one said.
	Failed int
	Why    string
	// Refused counts POSTs that the server wanted to be tried again later, which is a part of the time they took.
	Refused uint64
	// For is the time from the first POST to the end of the last.
	For time.Duration
}

// Join lets the prepared students come.
func (s *Students) Join(j Joining, r *Joined) error {
	s.mu.Lock()
	s.all = append(s.all, s.waiting...)
	s.mu.Unlock()
	coming := s.waiting
	s.waiting = nil
	at := j.At
	if at == 0 {
		at = len(coming)
	}
	free := make(chan struct{}, at)
	began := time.Now()
	var mu sync.Mutex
	var joining sync.WaitGroup
	for i, one := range coming {
		if j.Every > 0 {
			if err := pause(s.life, time.Until(began.Add(time.Duration(i)*j.Every))); err != nil {
				return err
			}
		}
		free <- struct{}{}
		joining.Go(func() {
			defer func() { <-free }()
			ctx, cancel := context.WithTimeout(s.life, joinTime)
			defer cancel()
			posted := time.Now()
			err := one.join(ctx, s.client, j.URL, j.Token, j.Picture)
			took := time.Since(posted)
			mu.Lock()
			defer mu.Unlock()
			r.Refused += one.refused.Load()
			if err != nil {
				r.Failed++
				r.Why = err.Error()
				return
			}
			r.Took = append(r.Took, took)
		})
	}
	joining.Wait()
	r.For = time.Since(began)
	return nil
}

// Counts is what has come to the students since they joined.
type Counts struct {
	// Students have joined, and Live of them are connected now.
	Students, Live int
	// Sound and Picture are packets of all students, each once.
	Sound, Picture uint64
	// Lost are packets whose sequence number was passed over and has not come. The first students of a class, as many as
	// were asked about, are counted and no others.
	Lost uint64
	// Again are duplicates, Repairs are packets sent again on a stream of their own, and Strange are of no known payload
	// type.
	Again, Repairs, Strange uint64
	// Bytes are those of the UDP payloads.
	Bytes uint64
	// Checked is what the students who decrypt have counted, Decrypted what they could decrypt and Broken how much of
	// that was not what the publisher sent.
	Checked, Decrypted, Broken uint64
	// Missing are packets that the publisher sent and that the students who decrypt did not get, whether the sequence
	// numbers of the server tell of it or not.
	Missing int64
	// Dropped is what the students' network itself has lost, -1 where that is not known.
	Dropped int64
}

// packets is what came.
func (c Counts) packets() uint64 { return c.Sound + c.Picture }

// Count adds up what has come to the first n students.
func (s *Students) Count(n int, c *Counts) (err error) {
	if c.Dropped, err = s.network.dropped(); err != nil {
		return err
	}
	for _, one := range s.list()[:n] {
		c.Students++
		if one.pc.ConnectionState() == webrtc.PeerConnectionStateConnected {
			c.Live++
		}
		decrypted, broken := one.decrypted.Load(), one.broken.Load()
		e := &one.ear
		e.mu.Lock()
		for _, t := range []*tally{&e.sound, &e.picture} {
			c.Lost += t.expected() - t.packets
			c.Again += t.again
		}
		c.Sound += e.sound.packets
		c.Picture += e.picture.packets
		c.Repairs += e.repairs
		c.Strange += e.strange
		c.Bytes += e.bytes
		if one.check {
			c.Checked += e.sound.packets + e.picture.packets
			c.Decrypted += decrypted
			c.Broken += broken
			c.Missing += one.missing.Load()
		}
		e.mu.Unlock()
	}
	return nil
}

func (s *Students) list() []*student {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}

// report lets every student report once in reportTime, one after the other and not all at once.
func (s *Students) report(ctx context.Context) {
	const parts = 50
	tick := time.NewTicker(reportTime / parts)
	defer tick.Stop()
	for part := 0; ; part = (part + 1) % parts {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for i, one := range s.list() {
			if i%parts == part && one.pc.ConnectionState() == webrtc.PeerConnectionStateConnected {
				one.report()
			}
		}
	}
}

// Leave ends all students.
func (s *Students) Leave(struct{}, *struct{}) error {
	s.mu.Lock()
	leaving := append(s.all, s.waiting...)
	s.all, s.waiting = nil, nil
	s.mu.Unlock()
	var closing sync.WaitGroup
	for _, one := range leaving {
		closing.Go(one.close)
	}
	closing.Wait()
	s.client.CloseIdleConnections()
	return nil
}

// serve obeys the parent until it goes.
func (s *Students) serve() error {
	err := serveChild("Students", s)
	if s.stop != nil {
		s.stop()
	}
	s.running.Wait()
	if s.network != nil {
		s.network.close()
	}
	return err
}
