package client

import (
	"errors"
	"strconv"
	"time"
)

// maxReasons bounds the different reasons in a report; further ones count as "other".
const maxReasons = 32

// Report is what a class measured.
type Report struct {
	// Students is how many were to watch, Joined how many got media, Watching how many of those a whole keyframe, and Failed
	// the others, counted by reason in Failures.
	Students int            `json:"students"`
	Joined   int            `json:"joined"`
	Watching int            `json:"watching"`
	Failed   int            `json:"failed"`
	Failures map[string]int `json:"failures"`
	// Packets is how many RTP packets came, each counted once; Lost how many never did, not even after they were asked for;
	// Duplicates how many came again. Those that came by two sessions, while one takes the place of the other, count for both.
	Packets    uint64 `json:"packets"`
	Lost       uint64 `json:"lost"`
	Duplicates uint64 `json:"duplicates"`
	// LongestGap is the longest time that any student was without any media after the first packet.
	LongestGap float64 `json:"longest_gap_ms"`
	// Latency is from the capture at the publisher to the arrival at the student, where the publisher tells the capture and
	// both clocks agree. What was captured before the student asked to watch, and is replayed, does not count.
	Latency Percentiles `json:"latency_ms"`
	// Join is from asking where to watch to the answer.
	Join Percentiles `json:"join_ms"`
	// FirstPacket and FirstKeyframe are from the POST of the first offer that led to media to the first packet of media and
	// to the last packet of the first whole keyframe.
	FirstPacket   Percentiles `json:"first_packet_ms"`
	FirstKeyframe Percentiles `json:"first_keyframe_ms"`
	// Reconnects counts sessions that continued earlier ones.
	Reconnects int `json:"reconnects"`
	// Bytes is what came, as RTP, and Bitrate that over the whole time, both of all students together.
	Bytes   uint64 `json:"bytes"`
	Bitrate uint64 `json:"bitrate_bps"`
	// Nodes counts the students who joined by the node that served them last, Hops by how far it was from the room's home,
	// if it said so.
	Nodes map[string]int `json:"nodes"`
	Hops  map[string]int `json:"hops"`
	// Duration is how long was measured, in seconds.
	Duration float64 `json:"duration_s"`
}

// Percentiles are in milliseconds, all zero if nothing was measured.
type Percentiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

// percentiles reads a histogram.
func percentiles(h *histogram) Percentiles {
	return Percentiles{P50: millis(h.percentile(0.5)), P95: millis(h.percentile(0.95)), P99: millis(h.percentile(0.99))}
}

// millis is a duration in milliseconds to a tenth.
func millis(d time.Duration) float64 {
	return float64(d.Round(100*time.Microsecond)/(100*time.Microsecond)) / 10
}

// report adds up the students as they stand; end is the moment to which is measured.
func (c *class) report(end time.Time) Report {
	r := Report{
		Students:      len(c.students),
		Failures:      map[string]int{},
		Latency:       percentiles(&c.latency),
		Join:          percentiles(&c.joining),
		FirstPacket:   percentiles(&c.firstPacket),
		FirstKeyframe: percentiles(&c.firstKeyframe),
		Nodes:         map[string]int{},
		Hops:          map[string]int{},
		Duration:      float64(end.Sub(c.begun).Milliseconds()) / 1000,
	}
	var longest time.Duration
	for _, s := range c.students {
		longest = max(longest, s.addTo(&r, end))
	}
	r.LongestGap = millis(longest)
	if r.Duration > 0 {
		r.Bitrate = uint64(float64(r.Bytes) * 8 / r.Duration)
	}
	return r
}

// addTo adds one student to a report and returns their longest gap.
func (s *student) addTo(r *Report, end time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tally
	for _, v := range s.viewings {
		for _, st := range v.streams {
			t.add(&st.span)
		}
	}
	r.Packets += t.packets
	r.Lost += t.lost
	r.Duplicates += t.doubled
	r.Bytes += s.bytes
	r.Reconnects += s.reconnects
	if s.firstMedia.IsZero() {
		r.Failed++
		reason := failure(s.err)
		if _, known := r.Failures[reason]; !known && len(r.Failures) >= maxReasons {
			reason = "other"
		}
		r.Failures[reason]++
		return 0
	}
	r.Joined++
	if s.watching {
		r.Watching++
	}
	r.Nodes[s.node]++
	if s.hops >= 0 {
		r.Hops[strconv.Itoa(s.hops)]++
	}
	return max(s.longest, end.Sub(s.lastMedia))
}

// failure puts the reason why a student has no media into words that are the same for many students.
func failure(err error) string {
	if err == nil {
		return "no media yet"
	}
	if e, ok := errors.AsType[*StatusError](err); ok {
		return e.reason()
	}
	return err.Error()
}

// tally counts packets over the sessions of a student.
type tally struct{ packets, lost, doubled uint64 }

// add counts one source.
func (t *tally) add(s *span) {
	t.packets += s.received
	t.lost += s.lost()
	t.doubled += s.doubled
}
