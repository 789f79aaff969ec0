package edge

import (
	"encoding/binary"
	"slices"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"lyceum/edge/fan"
	"lyceum/edge/forward"
	"lyceum/mesh/media"
)

// maxNacks bounds the packets that are sent again for one RTCP packet. More missing than that is a case for a keyframe.
const maxNacks = 256

// heard is what a subscriber's reports said last.
type heard struct {
	lost     float64 // the fraction lost on the way from here
	estimate float64 // bits per second, by REMB
	next     uint64  // the rewriter's next index at the last report
	packets  uint64  // packets sent until the last report
}

// listen reads the feedback on one leg until its connection is closed. A goodbye never comes here, since pion delivers it to
// the stream that ends; that a player leaves is told by DTLS or by HTTP.
func (s *Subscriber) listen(l *leg, p *pump, rtpSender *webrtc.RTPSender) {
	buf := make([]byte, 1500)
	var scratch media.Packet
	for {
		n, _, err := rtpSender.Read(buf)
		if err != nil {
			return
		}
		packets, err := rtcp.Unmarshal(buf[:n])
		if err != nil {
			s.edge.metrics.malformed.Inc()
			continue
		}
		now := s.edge.now()
		for _, packet := range packets {
			s.heed(l, p, packet, &scratch, now)
		}
	}
}

// feedback takes a compound packet of a subscriber whose media is sealed here, for all its legs.
func (s *Subscriber) feedback(compound []byte, scratch *media.Packet) {
	packets, err := rtcp.Unmarshal(compound)
	if err != nil {
		s.edge.metrics.malformed.Inc()
		return
	}
	now := s.edge.now()
	for _, packet := range packets {
		about := packet.DestinationSSRC()
		for _, l := range s.legs {
			if slices.Contains(about, l.out.ssrc) {
				s.heed(l, s.shard.pump(l.kind), packet, scratch, now)
			}
		}
	}
}

// heed takes one packet of feedback on one leg.
func (s *Subscriber) heed(l *leg, p *pump, packet rtcp.Packet, scratch *media.Packet, now int64) {
	switch packet := packet.(type) {
	case *rtcp.TransportLayerNack:
		if packet.MediaSSRC == l.out.ssrc {
			l.resend(p, packet.Nacks, scratch, now)
		}
	case *rtcp.PictureLossIndication:
		if packet.MediaSSRC == l.out.ssrc {
			l.plead(p)
		}
	case *rtcp.FullIntraRequest:
		for _, f := range packet.FIR {
			if f.SSRC == l.out.ssrc {
				l.plead(p)
			}
		}
	case *rtcp.ReceiverReport:
		l.hear(p, packet.Reports, now)
	case *rtcp.SenderReport: // some players report in one, though they send nothing
		l.hear(p, packet.Reports, now)
	case *rtcp.ReceiverEstimatedMaximumBitrate:
		l.estimated(float64(packet.Bitrate))
	}
}

// resend answers a request for missing packets out of the ring.
func (l *leg) resend(p *pump, nacks []rtcp.NackPair, scratch *media.Packet, now int64) {
	out := p.fan.Take()
	defer out.Done()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		return
	}
	asked := 0
	for i := range nacks {
		nacks[i].Range(func(sequence uint16) bool {
			asked++
			l.resendOneLocked(p, out, sequence, scratch, now)
			return asked < maxNacks
		})
		if asked >= maxNacks {
			return
		}
	}
}

func (l *leg) resendOneLocked(p *pump, out *fan.Batch, sequence uint16, scratch *media.Packet, now int64) {
	s, answer := l.history.Answer(sequence, now)
	if answer == forward.Resend && !p.track.Packet(s.Layer, s.Number, scratch) {
		answer = forward.Gone
	}
	p.metrics.resends[answer].Inc()
	if answer != forward.Resend {
		return
	}
	d := l.out.format(s.Type).Parse(scratch)
	d.Patch(scratch.Payload, s.IDs)
	l.counts.resent++
	repair := l.out.repairType(s.Type)
	if repair == 0 {
		_ = l.write(out, &s, scratch, l.stamps(scratch), 0) // asked for again if it does not arrive
		return
	}
	// RFC 4588, section 4: the original sequence number, then the original payload.
	l.repair = binary.BigEndian.AppendUint16(l.repair[:0], sequence)
	l.repairIndex++
	h := fan.Header{
		SSRC: l.out.repair, Timestamp: s.Timestamp, Index: l.repairIndex, Type: repair, Marker: l.marker(&s, scratch),
	}
	l.repair = append(l.repair, l.describe(&h, scratch)...)
	_ = l.way.send(out, &h, l.repair) // asked for again too
}

// plead notes that the subscriber cannot decode. A flood of pleas wakes the pump, which serves all, no more often than
// media does.
func (l *leg) plead(p *pump) {
	now := p.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.pleas++
	l.plea = true
	if l.wokenAt == 0 || now-l.wokenAt >= wakePause {
		l.wokenAt = now
		p.poke()
	}
}

// hear takes in how much of what was sent has arrived.
func (l *leg) hear(p *pump, reports []rtcp.ReceptionReport, now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range reports {
		if r.SSRC != l.out.ssrc {
			continue
		}
		lost := float64(r.FractionLost) / 256
		next, sent := l.rewriter.Next(), l.counts.packets
		if span := float64(next - l.heard.next); span > 0 && l.heard.packets > 0 {
			// The holes that packets missing here have left are no fault of the way from here.
			lost = max(0, lost-max(0, span-float64(sent-l.heard.packets))/span)
		}
		l.heard.lost, l.heard.next, l.heard.packets = lost, next, sent
		if l.kind != media.Video || len(l.order) == 0 {
			continue
		}
		before := l.allocator.Down()
		l.allocator.Report(lost, len(l.order), now)
		if l.allocator.Down() != before {
			l.aim()
			p.poke()
		}
	}
}

func (l *leg) estimated(bitrate float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard.estimate = bitrate
}
