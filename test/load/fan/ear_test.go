package fan

import (
	"testing"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

func TestEarTellsMediaFromTheRest(t *testing.T) {
	media := func(pt uint8, sequence uint16) []byte {
		b, err := (&rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: pt, SequenceNumber: sequence, SSRC: uint32(pt)}, Payload: []byte{1}}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	report, err := (&rtcp.SenderReport{SSRC: 1}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var e ear
	for _, c := range []struct {
		name string
		b    []byte
		pass bool
	}{
		{"sound", media(soundType, 1), false},
		{"picture", media(pictureType, 1), false},
		{"picture with the marker", func() []byte { b := media(pictureType, 3); b[1] |= 0x80; return b }(), false},
		{"repair", media(repairType, 1), false},
		{"another type", media(100, 1), false},
		{"STUN", append([]byte{0, 1}, make([]byte, 18)...), true},
		{"DTLS", append([]byte{22, 254, 253}, make([]byte, 20)...), true},
		{"RTCP", report, true},
		{"nothing", nil, true},
	} {
		if e.hear(c.b) != c.pass {
			t.Errorf("%s: passed on %v", c.name, !c.pass)
		}
	}
	if e.sound.packets != 1 || e.picture.packets != 2 || e.picture.expected() != 3 || e.repairs != 1 || e.strange != 1 {
		t.Errorf("sound %d, picture %d of %d, repairs %d, strange %d", e.sound.packets, e.picture.packets, e.picture.expected(), e.repairs, e.strange)
	}
	e.pass.Store(true)
	if !e.hear(media(pictureType, 4)) {
		t.Error("media is kept from a student who decrypts")
	}
}

func TestReportTellsWhatWasLost(t *testing.T) {
	var e ear
	if e.report(1) != nil {
		t.Error("a report on nothing")
	}
	e.ssrc[1] = 7
	for n := range uint16(100) {
		if n%4 != 2 {
			e.picture.add(n)
		}
	}
	r, ok := e.report(9).(*rtcp.ReceiverReport)
	if !ok || len(r.Reports) != 1 {
		t.Fatalf("%+v", r)
	}
	if b := r.Reports[0]; r.SSRC != 9 || b.SSRC != 7 || b.TotalLost != 25 || b.FractionLost != 64 || b.LastSequenceNumber != 99 {
		t.Errorf("%+v", b)
	}
	e.picture.add(100)
	if b := e.report(9).(*rtcp.ReceiverReport).Reports[0]; b.FractionLost != 0 || b.TotalLost != 25 || b.LastSequenceNumber != 100 {
		t.Errorf("the next: %+v", b)
	}
}
