package wire

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"testing"

	"lyceum/mesh/media"
)

func frame() []media.Packet {
	list := make([]media.Packet, ChunkPackets)
	for i := range list {
		list[i] = media.Packet{
			Layer: 2, Source: 77, Number: 1<<60 + uint64(i), Frame: math.MaxUint64, Timestamp: 0xffffffff,
			Captured: -5 + int64(i*i), Payload: bytes.Repeat([]byte{byte(i)}, 1200),
		}
	}
	list[0].Flags = media.First | media.Key
	list[7].Flags = media.Last
	list[3].Number = 1 << 20 // far behind its neighbours
	list[5].Payload = []byte{}
	return list
}

func pack(b []byte, sub uint64, packets []media.Packet) []byte {
	var w Packer
	b = w.Begin(b, sub, &packets[0])
	for i := range packets[1:] {
		b = w.Append(b, &packets[i+1])
	}
	return b
}

func unpack(b []byte) (sub uint64, packets []media.Packet, err error) {
	c, err := ParseChunk(b)
	if err != nil {
		return 0, nil, err
	}
	for {
		var p media.Packet
		ok, err := c.Next(&p)
		if !ok {
			return c.Sub, packets, err
		}
		packets = append(packets, p)
	}
}

func TestChunkComesBack(t *testing.T) {
	b := pack(nil, 12345, frame())
	sub, got, err := unpack(b)
	if err != nil || sub != 12345 || !reflect.DeepEqual(got, frame()) {
		t.Fatalf("%v: subscription %d\n got %+v\nwant %+v", err, sub, got, frame())
	}
	if n := len(b) - 7*1200; n > 128 {
		t.Errorf("%d bytes besides the payloads", n)
	}
}

func TestLargestChunkFits(t *testing.T) {
	list := make([]media.Packet, ChunkPackets)
	for i := range list {
		list[i] = media.Packet{
			Number: uint64(i%2) << 63, Frame: math.MaxUint64, Captured: int64(i%2) * math.MinInt64, Payload: make([]byte, media.MaxPayload),
		}
	}
	if n := len(pack(nil, math.MaxUint64, list)); n > MaxChunk {
		t.Errorf("%d bytes, more than %d", n, MaxChunk)
	}
}

func TestPackerTakesOneFrame(t *testing.T) {
	list := frame()
	var w Packer
	b := w.Begin(nil, 1, &list[0])
	if !w.Takes(&list[1]) || w.Full() {
		t.Error("refused a packet of the same frame")
	}
	for name, change := range map[string]func(*media.Packet){
		"frame":     func(p *media.Packet) { p.Frame-- },
		"source":    func(p *media.Packet) { p.Source++ },
		"layer":     func(p *media.Packet) { p.Layer++ },
		"timestamp": func(p *media.Packet) { p.Timestamp++ },
	} {
		p := list[1]
		if change(&p); w.Takes(&p) {
			t.Errorf("took a packet of another %s", name)
		}
	}
	for i := range list[1:] {
		b = w.Append(b, &list[i+1])
	}
	if !w.Full() || w.Takes(&list[1]) || w.Packets() != ChunkPackets {
		t.Error("took more than a chunk has")
	}
	if _, _, err := unpack(w.Append(b, &list[1])); !errors.Is(err, ErrMalformed) {
		t.Errorf("a chunk of too many packets: %v", err)
	}
}

func TestChunkThatIsCutOffYieldsItsWholePackets(t *testing.T) {
	b := pack(nil, 1, frame())
	for n := range b {
		_, packets, err := unpack(b[:n])
		if !reflect.DeepEqual(packets, frame()[:len(packets)]) && len(packets) > 0 {
			t.Fatalf("cut off at %d: %+v", n, packets)
		}
		if err == nil && len(b[:n]) > 0 && len(pack(nil, 1, frame()[:max(1, len(packets))])) != n && len(packets) > 0 {
			t.Fatalf("cut off at %d within a packet, and no error", n)
		}
	}
}

func TestChunkHeaderMayGrow(t *testing.T) {
	list := frame()[:1]
	b := pack(nil, 1, list)
	size := int(b[1])
	grown := append([]byte{KindChunk, b[1] + 3}, b[2:2+size]...)
	grown = append(grown, 9, 9, 9)
	grown = append(grown, b[2+size:]...)
	if _, got, err := unpack(grown); err != nil || !reflect.DeepEqual(got, list) {
		t.Fatalf("%v: %+v", err, got)
	}
}

func TestHeartbeatComesBack(t *testing.T) {
	want := Heartbeat{Sent: math.MaxInt64, Echo: -1, Came: 5, Heard: math.MaxUint64}
	b := AppendHeartbeat(nil, want)
	if got, err := ParseHeartbeat(append(b, "more"...)); err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
	const before = 25 // a peer of the first release sends so many
	for n := range b {
		if got, err := ParseHeartbeat(b[:n]); n == before {
			if err != nil || got.Heard != 0 || got.Came != 5 {
				t.Fatalf("of a peer that does not count: %+v, %v", got, err)
			}
		} else if !errors.Is(err, ErrMalformed) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}

func TestChunksCostNoAllocation(t *testing.T) {
	list := frame()
	b := make([]byte, 0, MaxChunk)
	var p media.Packet
	n := testing.AllocsPerRun(100, func() {
		b = pack(b[:0], 1, list)
		c, err := ParseChunk(b)
		for ok := err == nil; ok; {
			ok, err = c.Next(&p)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for a chunk", n)
	}
}

func FuzzChunk(f *testing.F) {
	short := frame() // a fuzzer changes small inputs to more effect
	for i := range short {
		short[i].Payload = []byte{byte(i)}
	}
	f.Add(pack(nil, 1, short))
	f.Add(pack(nil, 1, short[:1]))
	f.Add([]byte{KindChunk, 0})
	for version := Oldest; version <= Version; version++ {
		for _, p := range readPinned(f, version) {
			f.Add(p.bytes)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		sub, packets, err := unpack(b)
		if err != nil || len(packets) == 0 {
			return
		}
		again, got, err := unpack(pack(nil, sub, packets))
		if err != nil || again != sub || !reflect.DeepEqual(got, packets) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, got, packets)
		}
	})
}

func FuzzHeartbeat(f *testing.F) {
	f.Add(AppendHeartbeat(nil, Heartbeat{1, 2, 3, 4}))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHeartbeat(b)
		if err != nil {
			return
		}
		if again, err := ParseHeartbeat(AppendHeartbeat(nil, h)); err != nil || again != h {
			t.Fatalf("%+v, %v", again, err)
		}
	})
}

func BenchmarkPack(b *testing.B) {
	list := frame()
	buf := make([]byte, 0, MaxChunk)
	for b.Loop() {
		buf = pack(buf[:0], 1, list)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/ChunkPackets, "ns/packet")
}

func BenchmarkUnpack(b *testing.B) {
	buf := pack(nil, 1, frame())
	var p media.Packet
	for b.Loop() {
		c, err := ParseChunk(buf)
		for ok := err == nil; ok; {
			ok, err = c.Next(&p)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/ChunkPackets, "ns/packet")
}
