package origin

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"lyceum/mesh/media"
)

// FuzzReceive lets a publisher send anything: packets, each behind its length in two bytes, of which those that look like
// RTCP are taken for reports. Whatever it sends, no number is given twice, a frame's packets lie together, and what is
// remembered of packets that are missing stays bounded.
func FuzzReceive(f *testing.F) {
	seed := func(packets ...rtp.Packet) (all []byte) {
		for i := range packets {
			packets[i].Version = 2
			b, err := packets[i].Marshal()
			if err != nil {
				f.Fatal(err)
			}
			all = append(append(all, byte(len(b)>>8), byte(len(b))), b...)
		}
		return all
	}
	at := func(seq uint16, ts uint32) rtp.Header { return rtp.Header{SequenceNumber: seq, Timestamp: ts, SSRC: 9} }
	f.Add(seed(rtp.Packet{Header: at(1, 90), Payload: vp8Key()}, rtp.Packet{Header: at(3, 180), Payload: []byte{0x10, 1}}, rtp.Packet{Header: at(2, 90), Payload: []byte{0, 1}}), uint8(0))
	f.Add(seed(rtp.Packet{Header: at(65535, 90), Payload: unhex(f, spsHigh720)}, rtp.Packet{Header: at(700, 180)}, rtp.Packet{Header: at(0, 1<<31), Payload: []byte{0x65, 0x88}}), uint8(1))
	report, err := (&rtcp.SenderReport{SSRC: 9, NTPTime: 1 << 63, RTPTime: 90}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(append([]byte{0, byte(len(report))}, report...), seed(rtp.Packet{Header: at(1, 90), Payload: []byte{1}})...), uint8(2))
	f.Fuzz(func(t *testing.T, all []byte, codec uint8) {
		l := testLayer([]string{"video/VP8", "video/H264", "audio/opus"}[codec%3])
		now := time.Unix(1_700_000_000, 0)
		frames := map[uint64]uint64{}
		var newest uint64 // number
		var packet rtp.Packet
		for len(all) >= 2 {
			n := min(int(all[0])<<8|int(all[1]), len(all)-2)
			b := all[2 : 2+n]
			all = all[2+n:]
			now = now.Add(time.Millisecond)
			if len(b) > 1 && b[1] >= 192 && b[1] <= 223 {
				packets, _ := rtcp.Unmarshal(b)
				for _, p := range packets {
					if sr, ok := p.(*rtcp.SenderReport); ok {
						l.reported(media.Clock{NTP: sr.NTPTime, RTP: sr.RTPTime})
					}
				}
				continue
			}
			if packet.Unmarshal(b) != nil {
				continue
			}
			out := l.receive(&packet, now).packet
			if missing := l.due(now, nil); len(missing) > maxMissing || len(l.repair.missing) > maxMissing {
				t.Fatalf("%d packets are missing, of which %d are asked for", len(l.repair.missing), len(missing))
			}
			if out == nil {
				continue
			}
			if again := l.receive(&packet, now); again.packet != nil {
				t.Fatalf("sequence number %d is taken twice", packet.SequenceNumber)
			}
			if _, given := frames[out.Number]; given || out.Number < 100 {
				t.Fatalf("number %d is given twice, or was before the first", out.Number)
			}
			if newest != 0 && out.Number > newest+window {
				t.Fatalf("number %d follows %d", out.Number, newest)
			}
			newest = max(newest, out.Number)
			frames[out.Number] = out.Frame
			for _, beside := range []uint64{out.Number - 1, out.Number + 1} {
				if f, known := frames[beside]; known && (f > out.Frame) != (beside > out.Number) && f != out.Frame {
					t.Fatalf("number %d is of frame %d, and %d of %d", out.Number, out.Frame, beside, f)
				}
			}
			if len(out.Payload) == 0 || len(out.Payload) > media.MaxPayload || out.Timestamp != packet.Timestamp || out.Layer != l.index {
				t.Fatalf("%+v", out)
			}
			if l.sound && out.Flags != media.First|media.Last {
				t.Fatalf("sound has flags %b", out.Flags)
			}
		}
		if info := l.measure(now.Add(time.Second)); info.Bitrate > 4e9 || info.Width > 16384 || info.Height > 16384 {
			t.Fatalf("%+v", info)
		}
	})
}

// setWriter writes the bits of a parameter set.
type setWriter struct {
	data []byte
	n    int
}

func (w *setWriter) bits(v uint32, n int) {
	for i := n - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.data = append(w.data, 0)
		}
		w.data[w.n/8] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
}

func (w *setWriter) golomb(v uint32) {
	size := 0
	for (v+1)>>size > 1 {
		size++
	}
	w.bits(0, size)
	w.bits(v+1, size+1)
}

// nal puts the bits into a NAL unit, with what keeps them from looking like a start code.
func (w *setWriter) nal(profile byte) []byte {
	w.bits(1, 1)
	out, zeros := []byte{0x67, profile, 0, 30}, 0
	for _, b := range w.data {
		if zeros == 2 && b <= 3 {
			out, zeros = append(out, 3), 0
		}
		if zeros++; b != 0 {
			zeros = 0
		}
		out = append(out, b)
	}
	return out
}

// FuzzParameterSet reads the sizes of parameter sets that were written by another hand, and whatever else claims to be one.
func FuzzParameterSet(f *testing.F) {
	f.Add(uint16(80), uint16(45), uint16(0), uint16(0), uint8(0), true, unhex(f, spsHigh720))
	f.Add(uint16(120), uint16(34), uint16(0), uint16(4), uint8(2), false, unhex(f, spsHigh1080))
	for order := range uint8(9) { // zeros in a row, at each place within a byte
		f.Add(uint16(1023), uint16(1023), uint16(0), uint16(0), order, true, []byte(nil))
	}
	f.Fuzz(func(t *testing.T, columns, rows, right, bottom uint16, order uint8, progressive bool, raw []byte) {
		if w, h, ok := parseSPS(raw); ok != (w != 0 && h != 0) || w > 16384 || h > 16384 {
			t.Fatalf("%x is of %dx%d, %v", raw, w, h, ok)
		}
		s := &setWriter{}
		s.golomb(0)                 // its name
		s.golomb(uint32(order) % 9) // the length of frame numbers
		s.golomb(uint32(order) % 3) // how pictures are ordered
		switch order % 3 {
		case 0:
			s.golomb(4)
		case 1:
			s.bits(1, 1)
			s.golomb(3)
			s.golomb(1<<30 - 1) // 30 zeros in a row, twice
			s.golomb(uint32(order))
			for i := range uint32(order) {
				s.golomb(i * uint32(rows))
			}
		}
		s.golomb(1)
		s.bits(0, 1)
		s.golomb(uint32(columns))
		s.golomb(uint32(rows))
		lines := uint64(1)
		if progressive {
			s.bits(1, 1)
		} else {
			s.bits(0, 2)
			lines = 2
		}
		s.bits(1, 1)
		s.bits(1, 1)
		for _, edge := range []uint16{0, right, 0, bottom} {
			s.golomb(uint32(edge))
		}
		width := int64(columns)*16 + 16 - 2*int64(right)
		height := (int64(rows)*16+16)*int64(lines) - 2*int64(lines)*int64(bottom)
		possible := width > 0 && height > 0 && width <= 16384 && height <= 16384
		w, h, ok := parseSPS(s.nal(66))
		if ok != possible || ok && (int64(w) != width || int64(h) != height) {
			t.Fatalf("%dx%d is read as %dx%d, %v", width, height, w, h, ok)
		}
	})
}
