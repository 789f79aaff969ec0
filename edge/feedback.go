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
	estimate float64 // the newest limit that the player told, in bits per second
	next     uint64  // the rewriter's next index at the last report
	packets  uint64  // packets sent until the last report
	repairs  uint64  // packets sent on the repair stream until then
}

// listen reads the feedback on one leg until its connection is closed. A goodbye never comes here, since pion delivers it to
// the stream that ends; that a player leaves is told by DTLS or by HTTP.
func (s *Subscriber) listen(l *leg, rtpSender *webrtc.RTPSender) {
	buf := make([]byte, 1500)
	var scratch media.Packet
	for {
		n, _, err := rtpSender.Read(buf)
		if err != nil {
			return
		}
		now := s.edge.now()
		s.parse(buf[:n], now, func(packet rtcp.Packet) { s.heed(l, packet, &scratch, now) })
	}
}

// feedback takes a compound packet of a subscriber whose media is sealed here, for all its legs.
func (s *Subscriber) feedback(compound []byte, scratch *media.Packet) {
	now := s.edge.now()
	s.parse(compound, now, func(packet rtcp.Packet) {
		about := packet.DestinationSSRC()
		for _, l := range s.legs {
			if slices.Contains(about, l.out.ssrc) {
				s.heed(l, packet, scratch, now)
			}
		}
	})
}

// parse takes a compound packet apart. Reports of arrivals are read here: the usual parser makes a thousand objects of a few
// bytes if a player so wishes. Without heed nothing else is read.
func (s *Subscriber) parse(compound []byte, now int64, heed func(rtcp.Packet)) {
	for len(compound) >= 4 {
		size := 4 * (int(binary.BigEndian.Uint16(compound[2:])) + 1)
		if size > len(compound) {
			break
		}
		one := compound[:size]
		if compound = compound[size:]; one[1] == byte(rtcp.TypeTransportSpecificFeedback) && one[0]&0x1f == rtcp.FormatTCC {
			s.arrived(one, now)
			continue
		}
		if heed == nil {
			continue
		}
		packets, err := rtcp.Unmarshal(one)
		if err != nil {
			s.edge.metrics.malformed.Inc()
			return
		}
		for _, packet := range packets {
			heed(packet)
		}
	}
	if len(compound) > 0 && heed != nil {
		s.edge.metrics.malformed.Inc()
	}
}

// heed takes one packet of feedback on one leg.
func (s *Subscriber) heed(l *leg, packet rtcp.Packet, scratch *media.Packet, now int64) {
	p := l.at.Load()
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
		s.hear(l, p, packet.Reports, now)
	case *rtcp.SenderReport: // some players report in one, though they send nothing
		s.hear(l, p, packet.Reports, now)
	case *rtcp.ReceiverEstimatedMaximumBitrate:
		s.limited(float64(packet.Bitrate), now)
	}
}

// resend answers a request for missing packets out of the ring.
func (l *leg) resend(p *pump, nacks []rtcp.NackPair, scratch *media.Packet, now int64) {
	out := p.fan.Take()
	defer out.Done()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open || l.at.Load() != p {
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
	if l.out.red != 0 {
		p.metrics.resends[forward.Gone].Inc()
		return
	}
	if !l.mayRepair(now) {
		p.metrics.resends[forward.Held].Inc() // it will be asked for again
		return
	}
	s, answer := l.history.Answer(sequence, l.net.estimator.Trip(), now)
	if answer == forward.Resend && (s.Index < l.picture.useless || !p.track.Packet(s.Layer, s.Number, scratch)) {
		answer = forward.Gone
	}
	p.metrics.resends[answer].Inc()
	if answer != forward.Resend {
		return
	}
	l.net.credit -= float64(len(scratch.Payload))
	l.spare -= float64(len(scratch.Payload))
	d := l.out.format(s.Type).Parse(scratch)
	d.Patch(scratch.Payload, s.IDs)
	l.counts.resent++
	repair := l.out.repairType(s.Type)
	if repair == 0 {
		_ = l.write(out, &s, scratch, l.stamps(scratch), 0, now) // asked for again if it does not arrive
		return
	}
	l.writeRepair(out, &s, repair, scratch, now)
}

// writeRepair sends a packet on the repair stream: the original sequence number, then the original payload (RFC 4588,
// section 4).
func (l *leg) writeRepair(out *fan.Batch, s *forward.Sent, payload uint8, pkt *media.Packet, now int64) int {
	h := fan.Header{Timestamp: s.Timestamp, Type: payload, Marker: l.marker(s, pkt)}
	l.repair = binary.BigEndian.AppendUint16(l.repair[:0], s.Sequence())
	l.repair = append(l.repair, l.describe(&h, pkt)...)
	return l.writeOnRepair(out, &h, l.repair, now)
}

// writeOnRepair sends a packet under the next number of the repair stream, and returns the size of its content.
func (l *leg) writeOnRepair(out *fan.Batch, h *fan.Header, payload []byte, now int64) int {
	l.repairIndex++
	h.SSRC, h.Index = l.out.repair, l.repairIndex
	size := len(payload) + int(h.Padding)
	l.counts.extra += uint64(size)
	l.depart(h, size, now)
	_ = l.way.send(out, h, payload) // asked for again if it does not arrive
	return size
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
func (s *Subscriber) hear(l *leg, p *pump, reports []rtcp.ReceptionReport, now int64) {
	if lost, some := l.hear(p, reports, now); some && l.kind == media.Audio {
		s.soundLost(lost, now)
	}
}

// hear returns the fraction that was lost on the way from here, if the reports tell it.
func (l *leg) hear(p *pump, reports []rtcp.ReceptionReport, now int64) (lost float64, some bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var about float64 // packets
	var trip int64
	add := func(fraction, packets float64) {
		lost, about, some = (lost*about+fraction*packets)/max(about+packets, 1), about+packets, true
	}
	for i := range reports {
		switch r := &reports[i]; {
		case r.SSRC == l.out.ssrc:
			next, sent := l.rewriter.Next(), l.counts.packets
			fraction, span := float64(r.FractionLost)/256, float64(next-l.heard.next)
			if span > 0 && l.heard.packets > 0 {
				// The holes that packets missing here have left are no fault of the way from here.
				fraction = max(0, fraction-max(0, span-float64(sent-l.heard.packets))/span)
			}
			add(fraction, float64(sent-l.heard.packets))
			l.heard.lost, l.heard.next, l.heard.packets = fraction, next, sent
			trip = l.net.trip(r, now)
		case r.SSRC == l.out.repair && r.SSRC != 0:
			sent := l.counts.resent + l.counts.probes
			add(float64(r.FractionLost)/256, float64(sent-l.heard.repairs))
			l.heard.repairs = sent
		}
	}
	if some && l.kind == media.Video {
		l.net.estimator.Report(lost, uint64(about), trip, l.net.sent(), now)
		if l.decide(p, now) {
			p.poke()
		}
	}
	return lost, some
}
