package forward

import "testing"

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
