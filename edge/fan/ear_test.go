package fan

import (
	"bytes"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/protocol/extension"
	"github.com/pion/rtcp"
	"github.com/pion/srtp/v3"
)

// speaker is the student's side of an ear.
type speaker struct {
	*room
	ear     *Ear
	context *srtp.Context
	heard   [][]byte
}

func newSpeaker(t *testing.T) *speaker {
	t.Helper()
	s := &speaker{room: newRoom(t, 1, false)}
	var k Keys
	handshakeOf(&k, extension.SRTP_AEAD_AES_128_GCM, dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
	ear, err := k.Ear(func(b []byte) { s.heard = append(s.heard, bytes.Clone(b)) })
	if err != nil {
		t.Fatal(err)
	}
	c, err := k.session()
	if err != nil {
		t.Fatal(err)
	}
	if s.context, err = srtp.CreateContext(c.Keys.RemoteMasterKey, c.Keys.RemoteMasterSalt, c.Profile); err != nil {
		t.Fatal(err)
	}
	s.ear = ear
	s.paths[0].Listen(ear)
	return s
}

// seal makes a report.
func (s *speaker) seal(sender uint32) []byte {
	s.t.Helper()
	b, err := (&rtcp.ReceiverReport{SSRC: sender}).Marshal()
	if err != nil {
		s.t.Fatal(err)
	}
	sealed, err := s.context.EncryptRTCP(nil, b, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return sealed
}

// send sends packets and something for the connection, and waits until the latter is read.
func (s *speaker) send(packets ...[]byte) []byte {
	s.t.Helper()
	for _, b := range append(packets, []byte("\x00\x01 for the connection")) {
		if _, err := s.students[0].WriteToUDPAddrPort(b, s.conn.local); err != nil {
			s.t.Fatal(err)
		}
	}
	buf := make([]byte, 2000)
	_ = s.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, _, err := s.conn.ReadFromAddrPort(buf)
	if err != nil {
		s.t.Fatal(err)
	}
	return buf[:n]
}

func TestFeedbackIsHeardBesideTheConnection(t *testing.T) {
	s := newSpeaker(t)
	one, two := s.seal(7), s.seal(7)
	forged := s.seal(7)
	forged[len(forged)-1] ^= 1
	if got := s.send(one, two, one, forged); string(got) != "\x00\x01 for the connection" {
		t.Errorf("the connection got %q", got)
	}
	if len(s.heard) != 2 {
		t.Errorf("%d packets were heard, want 2: one came twice, one was forged", len(s.heard))
	}
	if n := s.counter("feedback_dropped_total/keys"); n != 2 {
		t.Errorf("%d packets are counted as not opened", n)
	}
	s.paths[0].Leave(s.ear)
	if three := s.seal(7); !bytes.Equal(s.send(three), three) {
		t.Error("without an ear the connection does not get the feedback")
	}
}

func TestAFloodOfFeedbackIsCutOff(t *testing.T) {
	s := newSpeaker(t)
	began := time.Now()
	for range 20 {
		var all [][]byte
		for range 50 {
			all = append(all, s.seal(7))
		}
		s.send(all...)
	}
	most := earBurst + int(time.Since(began).Seconds()*earRate) + 1
	if len(s.heard) < earBurst || len(s.heard) > most {
		t.Errorf("%d of 1000 packets were heard, want %d to %d", len(s.heard), earBurst, most)
	}
	if n := s.counter("feedback_dropped_total/flood"); n != 1000-len(s.heard) {
		t.Errorf("%d are counted as dropped", n)
	}
}

func TestAStudentHasFewSenders(t *testing.T) {
	s := newSpeaker(t)
	for i := range uint32(3 * earSenders) {
		s.send(s.seal(100 + i))
	}
	if len(s.heard) != earSenders || len(s.ear.senders) != earSenders {
		t.Errorf("%d senders were heard", len(s.heard))
	}
	s.send(s.seal(100))
	if len(s.heard) != earSenders+1 {
		t.Error("one that is known is not heard any more")
	}
	s.ear.Close()
	s.send(s.seal(100))
	if len(s.heard) != earSenders+1 {
		t.Error("a closed ear hears")
	}
}

// FuzzSocket reads what anybody may send.
func FuzzSocket(f *testing.F) {
	f.Add([]byte{0x80, 201, 0, 1, 0, 0, 0, 7, 0, 0, 0, 0})
	f.Add([]byte{0x80, 192})
	f.Add(packet(1, 40))
	var k Keys
	handshakeOf(&k, extension.SRTP_AEAD_AES_128_GCM, dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
	ear, err := k.Ear(func([]byte) { panic("a packet that nobody sealed was opened") })
	if err != nil {
		f.Fatal(err)
	}
	r := newRoom(f, 1, false)
	r.paths[0].Listen(ear)
	f.Fuzz(func(_ *testing.T, b []byte) {
		ear.tokens = earBurst
		if isControl(b) {
			r.conn.heard(b, r.paths[0].to)
		}
		_ = isGathered(b)
	})
}
