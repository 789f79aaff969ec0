package forward

import "lyceum/mesh/media"

// ReplaySpeed is how much faster than it was made a past second is sent. Three times keeps the burst of a join below what
// an access line of three times the class's rate can take, and shows the present after half the age of the keyframe.
const ReplaySpeed = 3

// drift bounds how far capture times are believed when the layer changes, in microseconds. Beyond it the clocks of the
// layers disagree, and the time that has passed here is the better guide.
const drift = 2_000_000

// timeline gives RTP timestamps. A past that is replayed is squeezed: its timestamps are as close to one another as its
// packets, so that the receiver's clock recovery sees nothing unusual, and they meet the present when the replay does.
type timeline struct {
	rate  uint32
	begun bool

	// The present run.
	live     uint32 // what to add to the publisher's timestamps in the present
	from     uint32 // the publisher's timestamp of the run's first packet
	start    uint32 // and the subscriber's
	squeezed bool
	beganAt  int64

	// The newest packet.
	layer    media.Layer
	source   uint32
	in       uint32
	out      uint32
	captured int64
	sentAt   int64
}

// begin starts a run at p, while head is the publisher's newest timestamp in the layer.
func (t *timeline) begin(p *media.Packet, head, rate uint32, now int64) {
	if int32(head-p.Timestamp) < 0 {
		head = p.Timestamp
	}
	passed := now - t.sentAt
	elapsed := p.Captured - t.captured
	switch {
	case !t.begun:
		t.live = t.out - head
	case p.Source == t.source && p.Layer == t.layer:
		// One source and one layer have one time; what was left out in between is a gap in it.
	case p.Source == t.source && elapsed > -drift && elapsed < drift:
		t.live += t.in + t.ticks(elapsed) - p.Timestamp
	default:
		t.live += t.in + t.ticks(passed) - head
	}
	t.rate = rate
	t.from, t.start, t.beganAt = p.Timestamp, head+t.live, now
	if step := rate / 30; t.begun && int32(t.start-t.out-step) < 0 {
		t.start = t.out + step // the decoder must not see a frame older than the one before
	}
	t.squeezed = t.start != p.Timestamp+t.live
	t.begun = true
}

// steady reports whether p is of the layer and source of the newest packet, and the timestamps of the present run have all
// been moved by the same.
func (t *timeline) steady(p *media.Packet) bool {
	return t.begun && !t.squeezed && p.Source == t.source && p.Layer == t.layer
}

func (t *timeline) ticks(micros int64) uint32 { return uint32(micros * int64(t.rate) / 1e6) }

// at maps a timestamp of the publisher, and reports whether it lies in the squeezed past.
func (t *timeline) at(timestamp uint32) (out uint32, past bool) {
	out = timestamp + t.live
	if !t.squeezed {
		return out, false
	}
	since := max(0, int32(timestamp-t.from))
	if s := t.start + uint32(since/ReplaySpeed); int32(s-out) > 0 {
		return s, true
	}
	return out, false
}

// due reports whether a packet may be sent now without running ahead of the replay.
func (t *timeline) due(timestamp uint32, now int64) bool {
	out, past := t.at(timestamp)
	return !past || int64(int32(out-t.start))*1e6 <= (now-t.beganAt)*int64(t.rate)
}

// sent remembers the newest packet.
func (t *timeline) sent(p *media.Packet, out uint32, now int64) {
	t.layer, t.source, t.in, t.out, t.captured, t.sentAt = p.Layer, p.Source, p.Timestamp, out, p.Captured, now
}
