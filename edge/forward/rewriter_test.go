package forward

import (
	"testing"

	"lyceum/mesh/media"
)

// source makes the packets of one VP8 layer, three to a frame, 30 frames per second.
type source struct {
	layer   media.Layer
	source  uint32
	number  uint64 // of frame 0
	stamp   uint32 // of frame 0
	at      int64  // capture time of frame 0
	picture uint16 // of frame 0
}

const frameTime = 33_333

func (s source) packet(frame, part int) (media.Packet, Descriptor) {
	p := media.Packet{
		Layer: s.layer, Source: s.source, Number: s.number + uint64(3*frame+part), Frame: uint64(frame),
		Timestamp: s.stamp + uint32(3000*frame), Captured: s.at + int64(frameTime*frame),
	}
	pid := s.picture + uint16(frame)
	p.Payload = []byte{0x90, 0xf0, 0x80 | byte(pid>>8&0x7f), byte(pid), byte(frame), byte(frame & 0x1f), 0}
	return p, ParseVP8(p.Payload)
}

func (s source) send(t *testing.T, r *Rewriter, frame, part int, now int64) Sent {
	t.Helper()
	p, d := s.packet(frame, part)
	var out Sent
	if !r.Rewrite(&p, &d, now, &out) {
		t.Fatalf("frame %d part %d is refused", frame, part)
	}
	return out
}

func (s source) begin(r *Rewriter, frame, head int, now int64) {
	p, d := s.packet(frame, 0)
	r.Begin(&p, &d, s.stamp+uint32(3000*head), 90000, now)
}

func TestSequencesStartLow(t *testing.T) {
	r := NewRewriter(0xffff, 0)
	if r.Next() != 0x7fff {
		t.Errorf("starts at %d", r.Next())
	}
}

func TestHolesOfTheRunBeforeCanStillBeFilled(t *testing.T) {
	r := NewRewriter(100, 5000)
	s := source{source: 1, number: 1 << 40, stamp: 777, picture: 5}
	s.begin(&r, 0, 0, 0)
	first := s.send(t, &r, 0, 0, 0)
	s.send(t, &r, 2, 2, 0) // frame 1 and more are missing
	s.begin(&r, 40, 40, 0)
	next := s.send(t, &r, 40, 0, 0)
	if next.Index != 109 || next.Timestamp-first.Timestamp != 40*3000 {
		t.Errorf("the new run begins with %+v", next)
	}
	late := s.send(t, &r, 1, 1, 0)
	if late.Index != 104 || late.Timestamp-first.Timestamp != 3000 || late.IDs.Picture != first.IDs.Picture+1 {
		t.Errorf("late packet %+v", late)
	}
	if p, d := s.packet(20, 0); r.Rewrite(&p, &d, 0, new(Sent)) {
		t.Error("a packet from between the runs has no hole")
	}
	if n := s.send(t, &r, 40, 1, 0).Index; n != 110 {
		t.Errorf("the new run goes on at %d", n)
	}

	other := source{layer: 1, source: 1, number: 1<<40 + 200, stamp: 777, picture: 5}
	other.begin(&r, 0, 0, 0)
	other.send(t, &r, 0, 0, 0)
	if p, d := s.packet(1, 2); r.Rewrite(&p, &d, 0, new(Sent)) {
		t.Error("a packet of another layer takes a number of the run before")
	}
}

func TestRunThatWasNotUsedLeavesNoHole(t *testing.T) {
	r := NewRewriter(100, 5000)
	s := source{source: 1, number: 1 << 40}
	s.begin(&r, 0, 0, 0)
	s.send(t, &r, 0, 0, 0)
	s.begin(&r, 40, 40, 0)
	s.begin(&r, 80, 80, 0)
	if n := s.send(t, &r, 80, 0, 0).Index; n != 101 {
		t.Errorf("index %d", n)
	}
	if p, d := s.packet(40, 0); r.Rewrite(&p, &d, 0, new(Sent)) {
		t.Error("a packet of a run that was never used takes another one's place")
	}
}

func TestHolesWithinALayerStay(t *testing.T) {
	r := NewRewriter(100, 5000)
	s := source{source: 1, number: 1 << 40, stamp: 777, picture: 0x7ffe}
	s.begin(&r, 0, 0, 0)
	first := s.send(t, &r, 0, 0, 0)
	last := s.send(t, &r, 2, 2, 0)
	if first.Index != 100 || last.Index != 108 || last.Timestamp-first.Timestamp != 6000 {
		t.Errorf("first %+v last %+v", first, last)
	}
	if got := r.Gap(s.number + 12); got != 3 {
		t.Errorf("gap %d, want 3", got)
	}
	if late := s.send(t, &r, 1, 1, 0); late.Index != 104 || late.Timestamp != first.Timestamp+3000 || late.IDs.Picture != (first.IDs.Picture+1)&0x7fff {
		t.Errorf("the late packet is %+v", late)
	}
	if again := s.send(t, &r, 2, 2, 0); again != last {
		t.Errorf("the same packet is %+v, was %+v", again, last)
	}
	if before, d := s.packet(-1, 2); r.Rewrite(&before, &d, 0, &Sent{}) {
		t.Error("a packet from before the run is accepted")
	}
}

func TestLayerChangesAreContinuous(t *testing.T) {
	r := NewRewriter(65000, 0xffff_0000)
	low := source{layer: 0, source: 1, number: 5000, stamp: 100, at: 1_000_000, picture: 7}
	high := source{layer: 2, source: 1, number: 900, stamp: 0xffff_ff00, at: 1_000_000 + 5_000, picture: 30000}
	low.begin(&r, 0, 0, 0)
	var last Sent
	for f := range 10 {
		for part := range 3 {
			last = low.send(t, &r, f, part, int64(f)*frameTime)
		}
	}
	high.begin(&r, 10, 10, 10*frameTime)
	next := high.send(t, &r, 10, 0, 10*frameTime)
	if next.Index != last.Index+1 {
		t.Errorf("index %d follows %d", next.Index, last.Index)
	}
	if d := next.Timestamp - last.Timestamp; d != 3000+450-1 && d != 3000+450 {
		t.Errorf("timestamps are %d apart, want 38.3 ms = 3449", d)
	}
	if next.IDs.Picture != last.IDs.Picture+1 || next.IDs.TL0 != last.IDs.TL0+1 || next.IDs.Key != (last.IDs.Key+1)&0x1f {
		t.Errorf("ids %+v follow %+v", next.IDs, last.IDs)
	}
	if old, d := low.packet(10, 0); old.Number >= 900 && r.Rewrite(&old, &d, 0, &Sent{}) {
		t.Log("a number of the old layer may fit; the selector drops it")
	}
}

func TestTimestampsNeverGoBack(t *testing.T) {
	r := NewRewriter(0, 1000)
	low := source{layer: 0, source: 1, number: 5000, stamp: 100, at: 1_000_000}
	high := source{layer: 1, source: 1, number: 900, stamp: 7000, at: 1_000_000 - 60_000} // captured two frames earlier
	low.begin(&r, 0, 0, 0)
	last := low.send(t, &r, 0, 0, 0)
	high.begin(&r, 0, 0, 1000)
	for f := range 10 {
		next := high.send(t, &r, f, 0, 1000)
		d := int32(next.Timestamp - last.Timestamp)
		if f == 0 && d != 3000 || d < 1000 || d > 3000 {
			t.Errorf("frame %d is %d ticks after the one before", f, d)
		}
		last = next
	}
	p, _ := high.packet(10, 0)
	if want := last.Timestamp + 3000; high.send(t, &r, 10, 0, 1000).Timestamp != want {
		t.Errorf("the layers' clocks have not met again: packet %d", p.Number)
	}
}

func TestNewSourceContinuesByTheTimeHere(t *testing.T) {
	r := NewRewriter(9, 1000)
	old := source{source: 1, number: 5000, stamp: 100, at: 1_000_000}
	fresh := source{source: 2, number: 1 << 50, stamp: 42, at: 9_000_000_000} // its clock is hours away
	old.begin(&r, 0, 0, 0)
	last := old.send(t, &r, 0, 0, 0)
	fresh.begin(&r, 0, 0, 2_000_000)
	next := fresh.send(t, &r, 0, 0, 2_000_000)
	if next.Index != last.Index+1 || next.Timestamp-last.Timestamp != 180_000 {
		t.Errorf("after 2 s: %+v follows %+v", next, last)
	}
}

func TestReplayIsSqueezedIntoThePresent(t *testing.T) {
	r := NewRewriter(0, 0)
	s := source{source: 1, number: 5000, stamp: 0x1000, at: 1_000_000}
	s.begin(&r, 0, 30, 0) // the keyframe is one second old
	var last Sent
	for f := range 60 {
		p, _ := s.packet(f, 0)
		live := int64(f-30) * frameTime // when the frame was there, 0 being now
		due := live
		if f < 45 {
			due = int64(f) * frameTime / ReplaySpeed // half the age of the keyframe until the present
		}
		if early := due - 1000; f > 0 && f < 45 && r.Due(&p, early) {
			t.Errorf("frame %d is due before its time", f)
		}
		if !r.Due(&p, due+100) {
			t.Errorf("frame %d is not due at %d", f, due)
		}
		next := s.send(t, &r, f, 0, due)
		if d := next.Timestamp - last.Timestamp; f > 0 && f < 45 && d != 1000 || f > 45 && d != 3000 {
			t.Errorf("frame %d is %d ticks after the one before", f, d)
		}
		last = next
	}
	ntp, stamp := r.Report(media.Clock{})
	if got := media.MicrosFromNTP(ntp); got != s.at+59*frameTime || stamp != last.Timestamp {
		t.Errorf("the report says %d µs at %d, want %d at %d", got, stamp, s.at+59*frameTime, last.Timestamp)
	}
	// The same second again, because the subscriber lost it.
	s.begin(&r, 30, 59, 2_000_000)
	again := s.send(t, &r, 30, 0, 2_000_000)
	if again.Index != last.Index+1 || again.Timestamp != last.Timestamp+3000 || again.IDs.Picture != last.IDs.Picture+1 {
		t.Errorf("the replay begins with %+v after %+v", again, last)
	}
	if p, _ := s.packet(200, 0); !r.Due(&p, 0) {
		t.Error("the present has to wait")
	}
}

func TestReportFollowsThePublishersClock(t *testing.T) {
	r := NewRewriter(0, 500)
	s := source{source: 1, number: 1, stamp: 90_000, at: 55}
	s.begin(&r, 0, 0, 0)
	sent := s.send(t, &r, 3, 0, 0)
	clock := media.Clock{NTP: media.NTPFromMicros(1_000_000), RTP: 0}
	ntp, stamp := r.Report(clock)
	if got := media.MicrosFromNTP(ntp); got != 2_100_000 || stamp != sent.Timestamp {
		t.Errorf("report %d µs at %d, want 2100000 at %d", got, stamp, sent.Timestamp)
	}
}

func TestForwardAllocatesNothing(t *testing.T) {
	r, h := NewRewriter(0, 0), NewHistory(1024)
	sel := NewSelector(media.Video)
	s := source{source: 1, number: 1}
	p, d := s.packet(0, 0)
	r.Begin(&p, &d, p.Timestamp, 90000, 0)
	sel.Begin(&p)
	var out Sent
	if n := testing.AllocsPerRun(1000, func() {
		p.Number++
		sel.Take(&p)
		d = ParseVP8(p.Payload)
		r.Rewrite(&p, &d, 0, &out)
		h.Add(&out)
		d.Patch(p.Payload, out.IDs)
		h.Answer(out.Sequence(), 0, 1)
	}); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

func BenchmarkForward(b *testing.B) {
	r, h := NewRewriter(0, 0), NewHistory(1024)
	sel := NewSelector(media.Video)
	s := source{source: 1, number: 1}
	p, d := s.packet(0, 0)
	r.Begin(&p, &d, p.Timestamp, 90000, 0)
	sel.Begin(&p)
	var out Sent
	b.ReportAllocs()
	for b.Loop() {
		p.Number++
		sel.Take(&p)
		r.Rewrite(&p, &d, 0, &out)
		h.Add(&out)
		d.Patch(p.Payload, out.IDs)
	}
}
