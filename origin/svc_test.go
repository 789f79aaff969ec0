package origin

import (
	"bytes"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"lyceum/mesh/media"
	"lyceum/routing/wish"
)

// sent is one RTP packet of a table, and what is to be learnt of it.
type sent struct {
	name    string
	ts      uint32
	marker  bool
	ext     []byte
	payload []byte
	flags   media.Flags
	level   uint8
}

func learn(t *testing.T, l *layer, packets []sent) {
	t.Helper()
	frame := uint64(0)
	for i, c := range packets {
		p := &rtp.Packet{Header: rtp.Header{SequenceNumber: uint16(i), Timestamp: c.ts, Marker: c.marker}, Payload: c.payload}
		if c.ext != nil {
			if err := p.SetExtension(8, c.ext); err != nil {
				t.Fatal(err)
			}
		}
		got := l.receive(p, time.Unix(1, 0)).packet
		if got == nil {
			t.Fatalf("%s: it is dropped", c.name)
		}
		if got.Flags != c.flags.OfLevel(c.level) {
			t.Errorf("%s: flags %08b, want %08b", c.name, got.Flags, c.flags.OfLevel(c.level))
		}
		if got.Flags.Has(media.First) != (got.Frame != frame) {
			t.Errorf("%s: frame %d follows %d", c.name, got.Frame, frame)
		}
		frame = got.Frame
		want := c.payload
		if c.flags.Has(media.Described) {
			want = media.JoinDescriptor(nil, c.ext, c.payload)
		}
		if !bytes.Equal(got.Payload, want) {
			t.Errorf("%s: payload %x, want %x", c.name, got.Payload, want)
		}
	}
}

func TestLevelsOfAPictureOfVP9AreOneFrame(t *testing.T) {
	l := testLayer("video/VP9")
	const key, first, last, ends = media.Key, media.First, media.Last, media.Ends
	structure := []byte{0x30, 1, 64, 0, 180, 2, 128, 1, 104} // 320x180 and 640x360
	learn(t, l, []sent{
		{"the keyframe begins", 1, false, nil, append([]byte{0xaa, 0x80, 1, 0, 0}, append(structure, 9)...), key | first, 0},
		{"its lowest level ends", 1, false, nil, []byte{0xa4, 0x80, 1, 0, 0, 9}, key | ends, 0},
		{"level 1 of it", 1, false, nil, []byte{0xac, 0x80, 1, 3, 0, 9}, key | ends, 1},
		{"level 2 of it", 1, true, nil, []byte{0xac, 0x80, 1, 5, 0, 9}, key | ends | last, 2},
		{"the next picture", 2, false, nil, []byte{0xec, 0x80, 2, 0, 1, 9}, first | ends, 0},
		{"a level that needs no other picture is no keyframe", 2, true, nil, []byte{0xac, 0x80, 2, 3, 1, 9}, ends | last, 1},
	})
	if l.width != 640 || l.height != 360 {
		t.Errorf("the size is %d x %d", l.width, l.height)
	}
}

// structure is a dependency descriptor of level 0 with the structure of two levels, one temporal layer, without sizes.
var structure = []byte{
	0x80, 0x00, 0x07, // it begins, template 0, frame 7
	0b10000_000, 0b000_00001, 0b10_11_10_10, 0b10_10_0_1_0_0, 0b00_0_00000, // offset 0, two targets, levels 0 and 1, no chains
}

func TestDependencyDescriptorTellsTheLevelsOfAV1(t *testing.T) {
	l := testLayer("video/AV1")
	l.dependency = &dependency{id: 8}
	const key, first, last, ends, described = media.Key, media.First, media.Last, media.Ends, media.Described
	learn(t, l, []sent{
		{"the keyframe begins", 1, false, structure, []byte{0x18, 1, 2}, key | first | described, 0},
		{"its lowest level ends", 1, false, []byte{0x40, 0, 7}, []byte{0x90, 1, 2}, key | ends | described, 0},
		{"level 1 of it", 1, true, []byte{0xc1, 0, 8}, []byte{0x10, 1, 2}, key | ends | last | described, 1},
		{"the next picture", 2, false, []byte{0xc0, 0, 9}, []byte{0x10, 1, 2}, first | ends | described, 0},
		{"level 1 of it", 2, true, []byte{0xc1, 0, 10}, []byte{0x10, 1, 2}, ends | last | described, 1},
		{"a template that there is not", 3, true, []byte{0xc9, 0, 11}, []byte{0x10, 1, 2}, first | last | described, 0},
	})
	big := &rtp.Packet{Header: rtp.Header{SequenceNumber: 100, Timestamp: 4}, Payload: make([]byte, media.MaxPayload)}
	big.Payload[1] = 1
	if err := big.SetExtension(8, []byte{0xc0, 0, 12}); err != nil {
		t.Fatal(err)
	}
	if got := l.receive(big, time.Unix(1, 0)).packet; got == nil || got.Flags.Has(media.Described) || len(got.Payload) != media.MaxPayload {
		t.Error("a packet that has no room for its descriptor is not carried without it")
	}
	if n := testing.AllocsPerRun(100, func() {
		big.SequenceNumber++
		l.receive(big, time.Unix(1, 0))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAV1WithoutDescriptorsHasFramesByTimestamp(t *testing.T) {
	learn(t, testLayer("video/AV1"), []sent{
		{"the keyframe begins", 1, false, nil, []byte{0x18, 1, 2}, media.Key | media.First, 0},
		{"the keyframe ends", 1, true, nil, []byte{0x90, 1, 2}, media.Key | media.Last, 0},
		{"the next picture", 2, true, nil, []byte{0x10, 1, 2}, media.First | media.Last, 0},
	})
}

func TestAV1AndItsDescriptorsArriveFromAPublisher(t *testing.T) {
	o, hub := start(t, Config{})
	e := newTeacher(t, webrtc.MimeTypeAV1)
	publish(t, o, "math", "tess", e)
	track, release := hub.Acquire(media.TrackID{Room: "math", Name: media.Camera})
	defer release()
	var id uint8
	for _, x := range e.sender.GetParameters().HeaderExtensions {
		if x.URI == wish.DependencyDescriptor {
			id = uint8(x.ID)
		}
	}
	if id == 0 {
		t.Fatal("dependency descriptors were not agreed upon")
	}
	long := append(bytes.Clone(structure), make([]byte, 20)...) // so that it takes the two-byte form
	until(t, "the keyframe", func() bool {
		p := e.packet(0, []byte{0x18, 1, 2}, true)
		p.Extension, p.Extensions = false, nil
		if err := p.SetExtension(id, long); err != nil {
			t.Fatal(err)
		}
		if err := e.camera[0].WriteRTP(p); err != nil {
			t.Fatal(err)
		}
		number, ok := track.Keyframe(0)
		var got media.Packet
		if !ok || !track.Packet(0, number, &got) {
			return false
		}
		dd, payload := media.SplitDescriptor(got.Payload)
		if !got.Flags.Has(media.Described) || !bytes.Equal(dd, long) || !bytes.Equal(payload, []byte{0x18, 1, 2}) {
			t.Fatalf("it arrives as %+v", got)
		}
		return true
	})
	if info := track.State().Info; info.Codec.MimeType != webrtc.MimeTypeAV1 {
		t.Errorf("the track is %+v", info)
	}
}
