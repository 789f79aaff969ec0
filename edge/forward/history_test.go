package forward

import (
	"testing"

	"lyceum/mesh/media"
)

func TestHistory(t *testing.T) {
	h := NewHistory(16)
	if _, a := h.Answer(5, 0, 1); a != Gone {
		t.Errorf("an empty history answers %d", a)
	}
	for i := range uint64(20) {
		if i != 10 && !h.Add(&Sent{Index: 65530 + i, Number: 100 + i, Layer: 1, Type: 96}) {
			t.Fatalf("packet %d is refused", i)
		}
	}
	if h.Add(&Sent{Index: 65530 + 12}) {
		t.Error("a packet is sent twice")
	}
	if h.Add(&Sent{Index: 65530 + 3}) {
		t.Error("a packet from before the history is sent")
	}
	const seq = uint16(65530+14-65536) & 0xffff
	s, a := h.Answer(seq, 0, 1000)
	if a != Resend || s.Number != 114 || s.Sequence() != seq || s.Layer != 1 || s.Type != 96 {
		t.Errorf("answer %d with %+v", a, s)
	}
	if _, a := h.Answer(seq, 0, 2000); a != Repeated {
		t.Errorf("a request a moment later: %d", a)
	}
	for i := range int64(maxAnswers - 1) {
		if _, a := h.Answer(seq, 0, (i+1)*1_000_000); a != Resend {
			t.Errorf("request %d: %d", i+2, a)
		}
	}
	if _, a := h.Answer(seq, 0, 100_000_000); a != Repeated {
		t.Errorf("one request too many: %d", a)
	}
	hole := uint16(65530 + 10 - 65536)
	if _, a := h.Answer(hole, 0, 1); a != Gone {
		t.Errorf("a hole: %d", a)
	}
	if !h.Add(&Sent{Index: 65530 + 10, Number: 110}) {
		t.Error("a late packet does not fit its hole")
	}
	if _, a := h.Answer(hole, 0, 1); a != Resend {
		t.Errorf("the late packet: %d", a)
	}
	for _, seq := range []uint16{65530, 40, 30000} {
		if _, a := h.Answer(seq, 0, 1); a != Gone {
			t.Errorf("sequence %d: %d", seq, a)
		}
	}
}

func TestAHistoryKeepsApartWhatWasSentInTurns(t *testing.T) {
	h := NewHistory(512)
	index := uint64(100)
	sent := map[uint64]Sent{}
	for run := range uint64(stretches + 4) {
		for i := range uint64(3) {
			s := Sent{Number: 1000*run + i, Index: index, Timestamp: uint32(index), Layer: media.Layer(run % 3), Type: uint8(96 + run%2)}
			if !h.Add(&s) {
				t.Fatalf("packet %d of run %d is refused", i, run)
			}
			sent[index] = s
			index++
		}
	}
	for back := range 3 * (stretches + 4) {
		want := sent[index-1-uint64(back)]
		s, ok := h.Recent(back)
		if back >= 3*stretches {
			if ok {
				t.Errorf("%d packets ago: %+v is told of a run that is forgotten", back, s)
			}
		} else if !ok || s != want {
			t.Errorf("%d packets ago: %+v, want %+v", back, s, want)
		}
	}
}

func TestWhatComesLateOfTheRunBeforeIsRemembered(t *testing.T) {
	h := NewHistory(64)
	early := func(i uint64) *Sent { return &Sent{Number: 10 + i, Index: 100 + i} }
	for _, s := range []*Sent{early(0), early(2), {Number: 500, Index: 103}, early(1), {Number: 501, Index: 104}} {
		if !h.Add(s) {
			t.Fatalf("%+v is refused", s)
		}
	}
	for back, number := range []uint64{501, 500, 12, 11, 10} {
		if s, ok := h.Recent(back); !ok || s.Number != number {
			t.Errorf("%d packets ago: %+v, want number %d", back, s, number)
		}
	}
}
