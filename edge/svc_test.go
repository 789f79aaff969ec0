package edge

import (
	"encoding/binary"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"lyceum/edge/forward"
	"lyceum/mesh/media"
	"lyceum/mesh/relay"
)

var (
	vp9 = media.Codec{MimeType: "video/VP9", ClockRate: 90000, Fmtp: "profile-id=0"}
	av1 = media.Codec{MimeType: "video/AV1", ClockRate: 90000}
)

// tower is a teacher who sends levels in one layer, as origin hands them on: two packets for each level of a frame, a keyframe
// every two seconds.
type tower struct {
	track  *relay.Track
	source uint32
	codec  media.Codec
	levels int
	frame  int
	number uint64
	buf    [400]byte
	lose   func(frame int, level, part uint8) (lost, late bool)
	late   []media.Packet
}

func newTower(t *relay.Track, source uint32, codec media.Codec, levels int) *tower {
	te := &tower{track: t, source: source, codec: codec, levels: levels, number: uint64(source) << 32}
	t.Start(media.TrackInfo{Kind: media.Video, Codec: codec, Source: source, Layers: []media.LayerInfo{{Width: 1280, Height: 720}}})
	return te
}

// body is where the test's own bytes begin: frame, level, part.
const body = 8

func (te *tower) packet(level, part uint8) media.Packet {
	key := te.frame%50 == 0
	p := media.Packet{
		Source: te.source, Number: te.number, Frame: uint64(te.source)<<16 + uint64(te.frame), Timestamp: uint32(te.frame * 3600),
		Captured: time.Now().UnixMicro(),
	}
	te.number++
	own := make([]byte, body+100*(1<<level))
	if te.codec == vp9 {
		picture := uint16(te.frame) + uint16(te.source)<<10
		own[0] = 0xa0
		binary.BigEndian.PutUint16(own[1:], picture|0x8000)
		own[3], own[4] = level<<1, byte(te.frame)
		if !key {
			own[0] |= 0x40
		}
	}
	binary.BigEndian.PutUint16(own[5:], uint16(te.frame))
	own[7] = level<<4 | part
	p.Payload = append(te.buf[:0], own...)
	if te.codec == av1 {
		frame := uint16(te.frame*te.levels) + uint16(level) + uint16(te.source)<<10
		dd := []byte{level, byte(frame >> 8), byte(frame)}
		if key && level == 0 && part == 0 {
			dd = append(dd, make([]byte, 30)...) // its structure
		}
		p.Payload = media.JoinDescriptor(te.buf[:0], dd, own)
		p.Flags |= media.Described
	}
	if key {
		p.Flags |= media.Key
	}
	if level == 0 && part == 0 {
		p.Flags |= media.First
	}
	if part == 1 {
		p.Flags |= media.Ends
		if int(level) == te.levels-1 {
			p.Flags |= media.Last
		}
	}
	p.Flags = p.Flags.OfLevel(level)
	return p
}

func (te *tower) write() {
	for level := range uint8(te.levels) {
		for part := range uint8(2) {
			p := te.packet(level, part)
			if te.lose != nil {
				lost, late := te.lose(te.frame, level, part)
				if late {
					held := media.Packet{}
					p.Clone(&held)
					te.late = append(te.late, held)
				}
				if lost || late {
					continue
				}
			}
			te.track.Write(&p)
		}
	}
	te.frame++
}

func (te *tower) teach(frames int) {
	for range frames {
		te.write()
		time.Sleep(frameTime)
	}
}

// joinSVC adds a student who wants no more than a level, "" for all.
func joinSVC(c *class, level string) (*leg, *wire) {
	w := &wire{}
	out := w.binding()
	out.dependency = 8
	out.codecs = []codec{
		{Codec: vp9, payload: 98, repair: 99, format: forward.FormatVP9}, {Codec: av1, payload: 45, repair: 46, format: forward.FormatAV1},
	}
	l := loneLeg(c.pump, out, w.writeRTCP, c.pump.now())
	l.net.wish.RID = level
	c.pump.add(l)
	l.setOpen(true, c.pump.now())
	c.pump.poke()
	return l, w
}

// want changes the level that the student wants, and lets some time pass in which that is heard.
func (l *leg) want(level string) {
	l.mu.Lock()
	l.net.wish.RID = level
	l.mu.Unlock()
	time.Sleep(3 * restTime)
}

// seen is what the test wrote into a packet.
type seen struct {
	frame       int
	level, part uint8
}

func look(p *rtp.Packet) seen {
	return seen{int(binary.BigEndian.Uint16(p.Payload[5:])), p.Payload[7] >> 4, p.Payload[7] & 15}
}

// checkLevels fails unless each frame has all packets up to the level that is meant, in one row of sequence numbers, the last
// one marked, and the picture ids go on.
func checkLevels(t *testing.T, got []rtp.Packet, want func(frame int) uint8) {
	t.Helper()
	if len(got) == 0 {
		t.Fatal("nothing came")
	}
	for i := range got {
		s := look(&got[i])
		if top := want(s.frame); s.level > top || got[i].Marker != (s.level == top && s.part == 1) {
			t.Fatalf("packet %d is %+v with marker %v, wanted up to level %d", i, s, got[i].Marker, top)
		}
		if i == 0 {
			continue
		}
		if d := got[i].SequenceNumber - got[i-1].SequenceNumber; d != 1 {
			t.Fatalf("packet %d %+v: the sequence number is %d after the one before %+v", i, s, d, look(&got[i-1]))
		}
		b := look(&got[i-1])
		next := seen{b.frame, b.level, 1}
		if b.part == 1 {
			if next = (seen{b.frame, b.level + 1, 0}); got[i-1].Marker {
				next = seen{s.frame, 0, 0}
			}
		}
		if s != next {
			t.Fatalf("packet %d: %+v follows %+v", i, s, b)
		}
	}
}

func TestLevelsAreServedLikeLayers(t *testing.T) {
	for _, codec := range []media.Codec{vp9, av1} {
		t.Run(codec.MimeType, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClass(t, media.Video)
				l, w := joinSVC(c, "")
				te := newTower(c.track, 1, codec, 3)
				te.teach(25)
				got := w.take()
				if len(got) != 25*6 || look(&got[0]) != (seen{}) {
					t.Errorf("%d packets from %+v on, want all", len(got), look(&got[0]))
				}
				checkLevels(t, got, func(int) uint8 { return 2 })
				l.want("1")
				te.teach(60)
				down := w.take()
				checkLevels(t, append(got[len(got)-1:], down...), func(frame int) uint8 {
					if frame < 25 {
						return 2
					}
					return 1
				})
				if s := l.stats(); s.Layer != 1 || s.Target != 1 {
					t.Errorf("status %+v", s)
				}
				if d := c.track.TakeDemand(); d.Layers != media.LayersOf(0) || d.Keyframes != 0 {
					t.Errorf("demand %+v, want the only layer and no keyframe", d)
				}
				l.want("")
				te.teach(100)
				up := w.take()
				rise := -1
				for i := range up {
					if s := look(&up[i]); s.level == 2 && rise < 0 {
						rise = s.frame
					}
				}
				if rise%50 != 0 {
					t.Fatalf("it rises at frame %d, which is no keyframe", rise)
				}
				checkLevels(t, append(down[len(down)-1:], up...), func(frame int) uint8 {
					if frame < rise {
						return 1
					}
					return 2
				})
				if d := c.track.TakeDemand(); !d.Keyframes.Has(0) {
					t.Error("no keyframe was asked for to rise")
				}
				if codec == av1 {
					checkFrameNumbers(t, append(got, append(down, up...)...))
				}
			})
		})
	}
}

// checkFrameNumbers fails unless each packet has its dependency descriptor, whose number is that of its frame and level.
func checkFrameNumbers(t *testing.T, got []rtp.Packet) {
	t.Helper()
	first := got[0].GetExtension(8)
	if len(first) != 33 {
		t.Fatalf("the structure came with %d bytes", len(first))
	}
	for i := range got {
		s, dd := look(&got[i]), got[i].GetExtension(8)
		if len(dd) < 3 || dd[0] != s.level || binary.BigEndian.Uint16(dd[1:])-binary.BigEndian.Uint16(first[1:]) != uint16(3*s.frame)+uint16(s.level) {
			t.Fatalf("%+v has the descriptor %x", s, dd)
		}
	}
}

func TestWhatIsMissingLeavesAHoleAndWhatIsLeftOutDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Video)
		l, w := joinSVC(c, "")
		te := newTower(c.track, 1, vp9, 3)
		te.teach(5)
		l.want("0")
		te.lose = func(frame int, level, part uint8) (lost, late bool) {
			return frame == 10 && level == 0 && part == 1, frame == 12 && part == 0 || frame == 14 && level == 0
		}
		te.teach(15)
		for i := range te.late {
			c.track.Write(&te.late[i])
		}
		te.lose = nil
		te.teach(5)
		got := w.take()
		base := got[0].SequenceNumber
		place := map[uint16]seen{}
		for i := range got {
			at := got[i].SequenceNumber - base
			if _, twice := place[at]; twice {
				t.Fatalf("sequence number %d is given twice", at)
			}
			place[at] = look(&got[i])
		}
		at := uint16(0)
		for frame := range 25 {
			levels := uint8(1)
			if frame < 5 {
				levels = 3
			}
			for level := range levels {
				for part := range uint8(2) {
					want := seen{frame, level, part}
					got, ok := place[at]
					if lost := frame == 10 && part == 1; ok == lost || ok && got != want {
						t.Errorf("place %d has %+v %v, want %+v", at, got, ok, want)
					}
					at++
				}
			}
			if frame == 12 || frame == 14 {
				at += map[int]uint16{12: 2}[frame] // of levels above that were late: their places stay
			}
		}
	})
}

func TestALateStudentAndTheNextTeacherKeepTheirLevel(t *testing.T) {
	for _, codec := range []media.Codec{vp9, av1} {
		t.Run(codec.MimeType, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClass(t, media.Video)
				te := newTower(c.track, 1, codec, 3)
				te.teach(80)
				_, w := joinSVC(c, "1")
				te.teach(40)
				got := w.take()
				if s := look(&got[0]); s != (seen{frame: 50}) {
					t.Errorf("it starts with %+v", s)
				}
				checkLevels(t, got, func(int) uint8 { return 1 })
				newTower(c.track, 2, codec, 3).teach(30)
				again := w.take()
				if s := look(&again[0]); s != (seen{}) {
					t.Errorf("the next source starts with %+v", s)
				}
				checkLevels(t, append(got[len(got)-1:], again...), func(int) uint8 { return 1 })
				format := forward.FormatOf(codec.MimeType)
				id := func(p *rtp.Packet) uint16 {
					if codec == av1 {
						return binary.BigEndian.Uint16(p.GetExtension(8)[1:])
					}
					return format.Parse(&media.Packet{Payload: p.Payload}).Picture
				}
				if a, b := id(&got[len(got)-1]), id(&again[0]); b != a+1 {
					t.Errorf("picture %d of the next source follows %d", b, a)
				}
			})
		})
	}
}

func TestRepairOfALevelIsWhatWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Video)
		l, w := joinSVC(c, "")
		te := newTower(c.track, 1, av1, 2)
		te.teach(3)
		l.want("0")
		te.teach(10)
		got := w.take()
		want := got[len(got)-1]
		var scratch media.Packet
		l.resend(c.pump, []rtcp.NackPair{{PacketID: want.SequenceNumber}}, &scratch, c.pump.now())
		repair := w.take()
		if len(repair) != 1 || !repair[0].Marker || string(repair[0].Payload[2:]) != string(want.Payload) ||
			string(repair[0].GetExtension(8)) != string(want.GetExtension(8)) || len(want.GetExtension(8)) != 3 {
			t.Errorf("repair of %v is %v", want, repair)
		}
	})
}

func TestLevelsAreChosenByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Video)
		l, w := joinSVC(c, "")
		s := &Subscriber{legs: []*leg{l}}
		te := newTower(c.track, 1, vp9, 3)
		te.teach(60)
		if got := s.Layers(); len(got) != 3 || got[0].RID != "2" || got[2].RID != "0" || got[0].Bitrate <= got[1].Bitrate {
			t.Errorf("it can have %+v", got)
		}
		if err := s.Prefer(Wish{RID: "3"}); !errors.Is(err, ErrNoLayer) {
			t.Errorf("a level that there is not: %v", err)
		}
		if err := s.Prefer(Wish{RID: "1"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * restTime)
		w.take()
		te.teach(30)
		checkLevels(t, w.take(), func(int) uint8 { return 1 })
	})
}

func TestALevelThatEndsIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Video)
		_, w := joinSVC(c, "")
		te := newTower(c.track, 1, vp9, 3)
		te.teach(60)
		at := func() (levels int, rates []uint32) {
			synctest.Wait()
			for _, i := range c.pump.plan.layers {
				rates = append(rates, i.Bitrate)
			}
			return len(c.pump.plan.order), rates
		}
		if n, rates := at(); n != 3 || rates[0] < 40_000 || rates[1] < 2*rates[0] || rates[2] < 2*rates[1] {
			t.Errorf("%d levels of %d", n, rates)
		}
		te.levels = 2
		te.teach(120)
		if n, _ := at(); n != 2 {
			t.Errorf("%d levels, want 2", n)
		}
		te.levels = 3
		w.take()
		te.teach(10)
		if n, _ := at(); n != 3 {
			t.Errorf("%d levels, want 3 again", n)
		}
		checkLevels(t, w.take(), func(int) uint8 { return 2 }) // who gets the best gets it at once
	})
}

func TestAPlayerWithoutDescriptorsGetsTheLowestLevelOfAV1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Video)
		te := newTower(c.track, 1, av1, 3)
		te.teach(10)
		l, w := joinSVC(c, "")
		l.mu.Lock()
		l.out.dependency = 0
		l.aim()
		l.mu.Unlock()
		te.teach(60)
		checkLevels(t, w.take(), func(int) uint8 { return 0 })
	})
}
