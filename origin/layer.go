package origin

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/pion/rtp"

	"lyceum/mesh/media"
)

// layer is one simulcast layer of a publisher, or its sound: RTP packets in, packets of a track out.
type layer struct {
	// Set before the layer is read, never changed.
	index   media.Layer
	ssrc    uint32
	rid     string
	source  uint32
	rate    uint32 // of the codec's clock, in Hz
	capture uint8  // the id of abs-capture-time, 0 when it was not agreed
	nack    bool   // whether the publisher can be asked again
	sound   bool   // each packet is a frame
	metrics *metrics

	mu sync.Mutex
	// Guarded by mu.
	look          looker
	dependency    *dependency // of AV1; nil when descriptors were not agreed
	numbers       numbering
	repair        repair
	captured      media.Clock // from abs-capture-time
	report        media.Clock // from sender reports
	born          media.Clock // when timestamps come here, by the packet that came soonest since it was last told
	packet        media.Packet
	width, height uint16
	packets       uint64
	bytes         uint64
	measured      uint64    // bytes at the last measurement
	at            time.Time // of the last measurement
	bitrate       float64
	requests      uint64
	told          repair // what the metrics know
}

// outcome is what came of one RTP packet.
type outcome struct {
	packet  *media.Packet // to be written before the next packet comes; nil for none
	resized bool          // the size of the picture has changed
}

// receive takes one RTP packet in. It allocates nothing, except when packets are missing.
func (l *layer) receive(p *rtp.Packet, now time.Time) outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(p.Payload) > media.MaxPayload {
		l.metrics.oversized.Inc()
		return outcome{}
	}
	saw := l.look(p.Payload)
	payload := l.dependency.look(p, &saw)
	head := l.numbers.head
	begun := l.numbers.begun
	at, v := l.numbers.arrive(p.SequenceNumber, p.Timestamp, saw.empty)
	l.metrics.verdicts[v].Inc()
	if v == duplicate || v == tooOld {
		return outcome{}
	}
	switch {
	case begun && at.ext > head:
		l.repair.skipped(head, at.ext, now)
	case begun:
		l.repair.came(at.ext)
	}
	l.learnCapture(p)
	if us := now.UnixMicro(); l.rate != 0 && (!l.born.Known() || us < l.born.Micros(p.Timestamp, l.rate)) {
		l.born = media.Clock{NTP: media.NTPFromMicros(us), RTP: p.Timestamp}
	}
	l.packets++
	l.bytes += uint64(len(p.Payload))
	if v == drop {
		return outcome{}
	}
	var out outcome
	if saw.key {
		l.numbers.markKey(at.number)
		if saw.width != 0 && (saw.width != l.width || saw.height != l.height) {
			l.width, l.height = saw.width, saw.height
			out.resized = true
		}
	}
	out.packet = &l.packet
	l.packet = media.Packet{
		Layer: l.index, Flags: flags(saw, at, p.Marker), Source: l.source, Number: at.number, Frame: at.frame,
		Timestamp: p.Timestamp, Captured: l.capturedAt(p.Timestamp, now), Payload: payload,
	}
	if l.sound {
		l.packet.Flags = media.First | media.Last // the marker of sound means the start of speech
	}
	return out
}

// flags tells the beginning of a frame by what the payload says, or else by the packet before it.
func flags(saw look, at place, marker bool) media.Flags {
	var f media.Flags
	first := saw.starts
	if !saw.sure && at.sameFrame {
		first = false
	} else if !saw.sure && at.follows {
		first = true
	}
	if first {
		f |= media.First
	}
	if marker {
		f |= media.Last
	}
	if saw.key || at.key {
		f |= media.Key
	}
	if saw.described {
		f |= media.Described
	}
	if saw.ends {
		f |= media.Ends
	}
	return f.OfLevel(saw.level)
}

// learnCapture reads abs-capture-time: 64 bits of NTP, in the clock of the publisher.
func (l *layer) learnCapture(p *rtp.Packet) {
	if l.capture == 0 {
		return
	}
	if ext := p.GetExtension(l.capture); len(ext) >= 8 {
		if ntp := binary.BigEndian.Uint64(ext); ntp != 0 {
			l.captured = media.Clock{NTP: ntp, RTP: p.Timestamp}
		}
	}
}

// capturedAt is the publisher's own word if it gave it, else what its sender report says, else the time of arrival.
func (l *layer) capturedAt(timestamp uint32, now time.Time) int64 {
	switch {
	case l.captured.Known():
		return l.captured.Micros(timestamp, l.rate)
	case l.report.Known():
		return l.report.Micros(timestamp, l.rate)
	}
	return now.UnixMicro()
}

// reported takes in a sender report.
func (l *layer) reported(c media.Clock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report = c
}

// due appends the sequence numbers to be asked for now, and brings the metrics up to date.
func (l *layer) due(now time.Time, seqs []uint16) []uint16 {
	l.mu.Lock()
	defer l.mu.Unlock()
	seqs = l.repair.due(now, seqs)
	if !l.nack {
		seqs = seqs[:0]
	}
	l.metrics.lost.Add(float64(l.repair.lost - l.told.lost))
	l.metrics.repaired.Add(float64(l.repair.repaired - l.told.repaired))
	l.told.lost, l.told.repaired = l.repair.lost, l.repair.repaired
	return seqs
}

// measure brings the bitrate up to date and returns it, with the size of the picture. A layer that has been silent since
// the last time has 1 bit per second: it is known to carry nothing now, where 0 is not known.
func (l *layer) measure(now time.Time) media.LayerInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	info := media.LayerInfo{RID: l.rid, Width: l.width, Height: l.height}
	if span := now.Sub(l.at).Seconds(); span > 0.5 {
		fresh := float64(l.bytes-l.measured) * 8 / span
		switch {
		case fresh == 0:
			l.bitrate = 1
		case l.bitrate <= 1:
			l.bitrate = fresh
		default:
			l.bitrate += (fresh - l.bitrate) / 3
		}
		l.measured, l.at = l.bytes, now
	}
	info.Bitrate = uint32(min(l.bitrate, 4e9))
	return info
}

// birth tells when timestamps come here, and begins to look anew: the publisher's clock drifts.
func (l *layer) birth() (c media.Clock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, l.born = l.born, media.Clock{}
	return c
}

// requested counts a keyframe request.
func (l *layer) requested() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
}

// setLooker is for a publisher that changes its codec on the way.
func (l *layer) setLooker(k looker) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.look = k
}

func (l *layer) status() LayerStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	return LayerStatus{
		RID: l.rid, Width: l.width, Height: l.height, Bitrate: uint32(min(l.bitrate, 4e9)),
		Packets: l.packets, Bytes: l.bytes, Lost: l.repair.lost, Repaired: l.repair.repaired, KeyframeRequests: l.requests,
	}
}
