package fan

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/protocol/extension"
	"github.com/pion/dtls/v3/pkg/protocol/handshake"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// handshakeOf lets keys hear what a handshake says.
func handshakeOf(k *Keys, profile extension.SRTPProtectionProfile, suite dtls.CipherSuiteID) {
	id := uint16(suite)
	m := handshake.MessageServerHello{CipherSuiteID: &id, Extensions: []extension.Extension{
		&extension.UseSRTP{ProtectionProfiles: []extension.SRTPProtectionProfile{profile}},
	}}
	k.hello(m)
	fmt.Fprintf(k, "CLIENT_RANDOM %x %x\n", bytes.Repeat([]byte{3}, 32), bytes.Repeat([]byte{5}, 48))
}

func newStream(t testing.TB) *Stream {
	t.Helper()
	var k Keys
	handshakeOf(&k, extension.SRTP_AEAD_AES_128_GCM, dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
	s, err := k.Streams(1)
	if err != nil {
		t.Fatal(err)
	}
	return s[0]
}

// receiver opens what the stream of the same handshake seals.
func receiver(t *testing.T, k *Keys) *srtp.Context {
	t.Helper()
	c := srtp.Config{Profile: k.profile}
	if err := c.ExtractSessionKeysFromDTLS(k, true); err != nil {
		t.Fatal(err)
	}
	context, err := srtp.CreateContext(c.Keys.RemoteMasterKey, c.Keys.RemoteMasterSalt, c.Profile)
	if err != nil {
		t.Fatal(err)
	}
	return context
}

func TestSealedPacketsAreOpenedByTheOtherSide(t *testing.T) {
	for name, profile := range map[string]extension.SRTPProtectionProfile{
		"AES-128-GCM": extension.SRTP_AEAD_AES_128_GCM, "AES-256-GCM": extension.SRTP_AEAD_AES_256_GCM,
		"AES-CM": extension.SRTP_AES128_CM_HMAC_SHA1_80,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t, 1, false)
			var k Keys
			handshakeOf(&k, profile, dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
			streams, err := k.Streams(2)
			if err != nil {
				t.Fatal(err)
			}
			s := streams[1]
			open := receiver(t, &k)
			// Around two roll-overs, with packets that are late and a repair now and then.
			const n = 150_000
			last := -1
			for i := range n {
				if i%500 != 0 && i != n-1 {
					continue
				}
				b := r.fan.Take()
				at := i
				if i%2000 == 1000 {
					at = i - 700
				}
				h := Header{SSRC: 9, Index: uint64(at), Timestamp: uint32(at), Type: 96, Marker: i%1000 == 0}
				if i%1500 == 0 {
					h.StampID, h.Stamp = 3, 0x1122334455667788
				}
				if i%4500 == 0 {
					h.TimeID, h.Time = 5, 0x99aabbcc
				}
				if i%3500 == 0 {
					h.CountID, h.Count = 4, 0xcdef
					h.RawID, h.Raw = 8, bytes.Repeat([]byte{7}, 1+i/3500*3)
				}
				if i%2500 == 0 {
					h.Padding = uint8(1 + i/2500%200)
				}
				if err := s.Send(b, r.paths[0], &h, []byte(fmt.Sprint(at))); err != nil {
					t.Fatal(err)
				}
				b.Done()
				got := r.read(0, 1)[0]
				plain, err := open.DecryptRTP(nil, got, nil)
				if err != nil {
					t.Fatalf("packet %d: %v", i, err)
				}
				var p rtp.Packet
				if err := p.Unmarshal(plain); err != nil {
					t.Fatal(err)
				}
				if string(p.Payload) != fmt.Sprint(at) || p.SSRC != 9 || p.SequenceNumber != uint16(at) || p.Timestamp != uint32(at) ||
					p.PayloadType != 96 || p.Marker != h.Marker || p.PaddingSize != h.Padding {
					t.Fatalf("packet %d is %v", at, p)
				}
				if raw := p.GetExtension(8); !bytes.Equal(raw, h.Raw) {
					t.Fatalf("packet %d carries %x, want %x", i, raw, h.Raw)
				}
				if stamp := hex.EncodeToString(p.GetExtension(3)); (stamp == "1122334455667788") != (h.StampID != 0) {
					t.Fatalf("packet %d is stamped %q", at, stamp)
				}
				if sent := hex.EncodeToString(p.GetExtension(5)); (sent == "aabbcc") != (h.TimeID != 0) {
					t.Fatalf("packet %d was sent at %q", at, sent)
				}
				if count := hex.EncodeToString(p.GetExtension(4)); (count == "cdef") != (h.CountID != 0) {
					t.Fatalf("packet %d has number %q", at, count)
				}
				last = at
			}
			if last != n-1 {
				t.Errorf("the last packet is %d", last)
			}
		})
	}
}

func TestKeysThatAreNotKnownSealNothing(t *testing.T) {
	var k Keys
	if _, err := k.Streams(1); !errors.Is(err, ErrNoKeys) {
		t.Errorf("before the handshake: %v", err)
	}
	for _, line := range []string{"", "CLIENT_RANDOM 00 11", "CLIENT_RANDOM zz zz\n", "SERVER 00 00\n"} {
		if n, err := k.Write([]byte(line)); n != len(line) || err != nil {
			t.Errorf("%q: %d, %v", line, n, err)
		}
	}
	id := uint16(dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
	k.hello(handshake.MessageServerHello{CipherSuiteID: &id})
	if _, err := k.Streams(1); !errors.Is(err, ErrNoKeys) {
		t.Errorf("without a profile: %v", err)
	}
	handshakeOf(&k, extension.SRTP_AEAD_AES_128_GCM, dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
	if _, err := k.Streams(1); err != nil {
		t.Error(err)
	}
	k.Forget()
	if _, err := k.Streams(1); !errors.Is(err, ErrNoKeys) {
		t.Errorf("after they were forgotten: %v", err)
	}
}

func TestAPacketThatIsTooLargeIsRefused(t *testing.T) {
	r := newRoom(t, 1, false)
	b := r.fan.Take()
	s := newStream(t)
	if err := s.Send(b, r.paths[0], &Header{}, make([]byte, 1500)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v", err)
	}
	if err := s.Send(b, r.paths[0], &Header{StampID: 1, TimeID: 2, CountID: 3, Padding: 26}, make([]byte, 1462)); err != nil {
		t.Errorf("the largest payload of a repair: %v", err)
	}
	b.Done()
}

func TestSealingAllocatesNothing(t *testing.T) {
	r := newRoom(t, 1, false)
	s := newStream(t)
	payload := make([]byte, 1100)
	sequence := uint64(0)
	frame := func() {
		b := r.fan.Take()
		for range 9 {
			sequence++
			h := Header{SSRC: 7, Index: sequence, Type: 96, StampID: 3, Padding: 2}
			if err := s.Send(b, r.paths[0], &h, payload); err != nil {
				t.Fatal(err)
			}
		}
		b.Done()
	}
	frame()
	if n := testing.AllocsPerRun(100, frame); n != 0 {
		t.Errorf("%v allocations for a frame of nine packets", n)
	}
}
