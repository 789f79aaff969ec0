package edge

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"lyceum/edge/forward"
	"lyceum/mesh/media"
)

// A student that asks for everything, again and again, gets no more on top than the media itself, whatever it says that its
// network carries.
func TestRepairIsNoMoreThanTheMedia(t *testing.T) {
	for name, limit := range map[string]float32{"without a limit": 0, "with an enormous limit": 1 << 63} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClass(t, media.Video)
				te := newTeacher(c.track, 1)
				te.teach(5)
				s := &Subscriber{edge: &Edge{began: time.Now(), metrics: c.pump.metrics}, legs: []*leg{c.leg}}
				var scratch media.Packet
				for range 20 {
					te.teach(5)
					if limit != 0 {
						s.limited(float64(limit), c.pump.now())
					}
					c.leg.mu.Lock()
					newest := c.leg.sent.Sequence()
					c.leg.mu.Unlock()
					var nacks []rtcp.NackPair
					for i := range uint16(16) { // the last 272 packets
						nacks = append(nacks, rtcp.NackPair{PacketID: newest - 17*i - 16, LostPackets: 0xffff})
					}
					for range 10 {
						c.leg.resend(c.pump, nacks, &scratch, c.pump.now())
						time.Sleep(time.Millisecond)
					}
				}
				st := c.leg.stats()
				if st.Resent > st.Packets+1 || st.Resent < st.Packets/2 {
					t.Errorf("%d packets are sent, and %d of them again", st.Packets, st.Resent)
				}
				if testutil.ToFloat64(c.pump.metrics.resends[forward.Held]) == 0 {
					t.Error("nothing is counted as held back")
				}
				te.teach(5)
				c.wire.take()
				c.leg.resend(c.pump, []rtcp.NackPair{{PacketID: c.leg.sent.Sequence()}}, &scratch, c.pump.now())
				if got := c.wire.take(); len(got) != 1 {
					t.Errorf("after the flood a lost packet is answered with %d packets", len(got))
				}
			})
		})
	}
}

// FuzzFeedback lets a student say anything about a picture that it gets. It costs the node no more than it may, and the
// student is served on.
func FuzzFeedback(f *testing.F) {
	for _, packets := range [][]rtcp.Packet{
		{&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: 11, FractionLost: 200, TotalLost: 9}, {SSRC: 12, FractionLost: 255}}}},
		{&rtcp.SenderReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: 11, LastSenderReport: 1, Delay: math.MaxUint32}}}},
		{&rtcp.TransportLayerNack{MediaSSRC: 11, Nacks: []rtcp.NackPair{{PacketID: 0, LostPackets: 0xffff}, {PacketID: 0xfff0, LostPackets: 0xffff}}}},
		{&rtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: 1, Bitrate: 1e6, SSRCs: []uint32{11}}},
		{&rtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: 1, Bitrate: 0, SSRCs: []uint32{11}}},
		{&rtcp.PictureLossIndication{MediaSSRC: 11}, &rtcp.FullIntraRequest{MediaSSRC: 11, FIR: []rtcp.FIREntry{{SSRC: 11, SequenceNumber: 1}}}},
		{&rtcp.TransportLayerCC{
			MediaSSRC: 11, PacketStatusCount: 1, PacketChunks: []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{PacketStatusSymbol: 1, RunLength: 1}},
			RecvDeltas: []*rtcp.RecvDelta{{Type: 1, Delta: 250}}, Header: rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback, Length: 5},
		}},
	} {
		b, err := rtcp.Marshal(packets)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint8(3))
	}
	p, te := silentPump(f, 0)
	e := &Edge{began: time.Now(), metrics: newMetrics(nil, &Edge{})}
	f.Fuzz(func(t *testing.T, compound []byte, times uint8) {
		l := loneLeg(p, (&wire{}).binding(), nil, 0)
		l.out.stream = nowhere{}
		l.setOpen(true, 1)
		p.add(l)
		defer p.remove(l)
		s := &Subscriber{edge: e, legs: []*leg{l}}
		var scratch media.Packet
		for range times%16 + 1 {
			for range 3 {
				te.write()
				p.pass()
			}
			s.feedback(compound, &scratch)
			p.govern()
			p.probe()
		}
		st := l.stats()
		if st.Packets == 0 || st.Resent > st.Packets+1 {
			t.Errorf("%d packets are sent, and %d of them again", st.Packets, st.Resent)
		}
		if v := l.net.estimator.Value(); !(v >= 0) {
			t.Errorf("the network is thought to carry %v bit/s", v)
		}
	})
}
