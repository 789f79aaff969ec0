package edge

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"lyceum/edge/forward"
	"lyceum/mesh/media"
	"lyceum/mesh/relay"
)

func TestLateStudentStartsAtOnceFromTheRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Video)
		te := newTeacher(c.track, 1)
		te.teach(80)
		checkFlow(t, c.wire.take())
		before := time.Now()
		_, w := c.join(media.Video)
		te.teach(40)
		w.mu.Lock()
		times := w.times
		w.mu.Unlock()
		got := w.take()
		checkFlow(t, got)
		if frameOf(&got[0]) != 50 || layerOf(&got[0]) != 0 {
			t.Errorf("starts at frame %d of layer %d, want keyframe 50 of the best", frameOf(&got[0]), layerOf(&got[0]))
		}
		if d := times[0].Sub(before); d > 5*time.Millisecond {
			t.Errorf("the first packet comes after %s", d)
		}
		if last := frameOf(&got[len(got)-1]); last != 119 {
			t.Errorf("ends at frame %d, want 119", last)
		}
		caught := 0
		for i := range got {
			if f := frameOf(&got[i]); times[i].Sub(before) < time.Duration(f-80)*frameTime && f >= 80 {
				t.Errorf("frame %d is early", f)
			} else if f >= 110 && times[i].Sub(before) > time.Duration(f-80)*frameTime+5*time.Millisecond {
				t.Errorf("frame %d is late by %s", f, times[i].Sub(before)-time.Duration(f-80)*frameTime)
			} else if f == 110 {
				caught++
			}
		}
		if caught != 3 {
			t.Errorf("frame 110 has %d packets", caught)
		}
		if n := c.keyframesAsked(); n != 0 {
			t.Errorf("the teacher was asked for %d keyframes", n)
		}
	})
}

// A teacher's browser makes keyframes only when it is asked: to show the past of ten seconds would take five.
func TestReplayFromAnOldKeyframeIsLeftForANewOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Video)
		te := newTeacher(c.track, 1)
		te.teach(1)
		te.every = 1000
		te.teach(199)
		c.wire.take()
		asked := c.keyframesAsked()
		_, w := c.join(media.Video)
		te.teach(5)
		if n := c.keyframesAsked() - asked; n != 1 {
			t.Errorf("the teacher was asked for %d keyframes, want 1", n)
		}
		te.every = te.frame // the next frame is the keyframe
		te.teach(50)
		got := w.take()
		checkFlow(t, got)
		if first, last := frameOf(&got[0]), frameOf(&got[len(got)-1]); first != 0 || last != 254 {
			t.Errorf("frames %d to %d, want 0 to 254", first, last)
		}
		// The replay is left where it is, three times as fast as the teacher.
		i := slices.IndexFunc(got, func(p rtp.Packet) bool { return frameOf(&p) >= 205 })
		if i < 0 {
			t.Fatalf("the new keyframe, frame 205, never came; frame %d came last", frameOf(&got[len(got)-1]))
		}
		if left := frameOf(&got[i-1]); frameOf(&got[i]) != 205 || left > 20 {
			t.Errorf("frame %d follows frame %d, want 205 after at most 20", frameOf(&got[i]), left)
		}
		if n := c.keyframesAsked() - asked; n != 1 {
			t.Errorf("the teacher was asked for %d keyframes, want 1", n)
		}
		checkFlow(t, c.wire.take())
	})
}

// Firefox drops packets that come in the moment in which it has connected.
func TestReplayThatIsOfNoUseIsBegunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Video)
		te := newTeacher(c.track, 1)
		te.teach(90)
		asked := c.keyframesAsked()
		l, w := c.join(media.Video)
		te.teach(5)
		first := w.take()
		l.plead(c.pump)
		synctest.Wait()
		te.teach(20)
		second := w.take()
		checkFlow(t, append(first, second...))
		if f := frameOf(&second[0]); f != 50 {
			t.Errorf("after the plea comes frame %d, want 50 again", f)
		}
		l.plead(c.pump) // it may have been sent before the second replay came
		te.teach(5)
		if n := c.keyframesAsked() - asked; n > 1 {
			t.Errorf("the teacher was asked for %d keyframes", n)
		}
	})
}

func TestStudentWaitsForTheTeacherAndForTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Video)
		time.Sleep(3 * time.Second)
		te := newTeacher(c.track, 1)
		te.teach(60)
		c.track.Stop()
		first := c.wire.take()
		time.Sleep(5 * time.Second)
		if n := len(c.wire.take()); n != 0 {
			t.Errorf("%d packets while nobody teaches", n)
		}
		te = newTeacher(c.track, 2)
		te.frame = 7 // no keyframe yet
		te.teach(3)
		asked := c.track.TakeDemand().Keyframes
		te.frame = 50
		te.teach(20)
		second := c.wire.take()
		if len(first) != 180 || len(second) != 60 {
			t.Fatalf("%d and %d packets, want 180 and 60", len(first), len(second))
		}
		checkFlow(t, first)
		checkFlow(t, second)
		a, b := &first[len(first)-1], &second[0]
		if b.SequenceNumber != a.SequenceNumber+1 || frameOf(b) != 50 {
			t.Errorf("sequence %d of frame %d follows %d", b.SequenceNumber, frameOf(b), a.SequenceNumber)
		}
		if d := time.Duration(int32(b.Timestamp-a.Timestamp)) * time.Second / 90000; d < 5*time.Second || d > 5300*time.Millisecond {
			t.Errorf("the timestamps are %s apart", d)
		}
		if !asked.Has(0) {
			t.Errorf("the new teacher was asked for keyframes of %b, want the best layer", asked)
		}
	})
}

func TestANarrowerNetworkChangesTheLayerAtAKeyframe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Video)
		te := newTeacher(c.track, 1)
		limit := func(bps float64) {
			c.leg.mu.Lock()
			defer c.leg.mu.Unlock()
			c.leg.net.estimator.Limit(bps, c.pump.now())
		}
		te.teach(1)
		limit(3_000_000)
		te.teach(1)
		limit(1_790_000) // a little less than the best layer needs: it may go on until there is a keyframe of the next
		te.teach(43)
		if d := c.track.TakeDemand(); d.Layers != media.LayersOf(0, 1) || !d.Keyframes.Has(1) {
			t.Errorf("demand %+v, want layers 0 and 1 and a keyframe of 1", d)
		}
		te.teach(15)
		got := c.wire.take()
		checkFlow(t, got)
		for i := range got {
			if f, l := frameOf(&got[i]), layerOf(&got[i]); f < 50 && l != 0 || f > 50 && l != 1 {
				t.Fatalf("frame %d is of layer %d", f, l)
			}
		}
		if d := c.track.TakeDemand(); d.Layers != media.LayersOf(1) {
			t.Errorf("after the change layers %b are wanted", d.Layers)
		}
		if s := c.leg.stats(); !s.Playing || s.Layer != 1 || s.Estimate != 1_790_000 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestAMuchNarrowerNetworkStopsThePictureAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Video)
		te := newTeacher(c.track, 1)
		te.teach(3)
		c.leg.mu.Lock()
		c.leg.net.estimator.Limit(3_000_000, c.pump.now())
		c.leg.net.estimator.Limit(300_000, c.pump.now())
		c.leg.mu.Unlock()
		te.teach(3) // at the next look at its network, at most 100 ms later
		c.wire.take()
		te.teach(10)
		if got := c.wire.take(); len(got) > 0 {
			t.Errorf("%d packets before a keyframe", len(got))
		}
		if d := c.track.TakeDemand(); d.Layers != media.LayersOf(2) || !d.Keyframes.Has(2) {
			t.Errorf("demand %+v, want layer 2 and a keyframe of it", d)
		}
		te.frame = 50
		te.teach(20)
		got := c.wire.take()
		checkFlow(t, got)
		if len(got) != 60 || layerOf(&got[0]) != 2 || frameOf(&got[0]) != 50 {
			t.Errorf("%d packets from frame %d of layer %d", len(got), frameOf(&got[0]), layerOf(&got[0]))
		}
		// What was lost of the old layer is of no use any more.
		before := c.leg.stats().Resent
		c.leg.resend(c.pump, []rtcp.NackPair{{PacketID: got[0].SequenceNumber - 1}, {PacketID: got[0].SequenceNumber}}, &media.Packet{}, c.pump.now())
		if n := c.leg.stats().Resent - before; n != 1 {
			t.Errorf("%d packets were sent again, want the new layer's alone", n)
		}
	})
}

// OBS calls its largest layer "0", browsers' pages call theirs "f", some call their smallest "0": only sizes tell.
func TestTheLargestLayerIsServedWhateverItIsCalled(t *testing.T) {
	sizes := []media.LayerInfo{
		{Width: 1920, Height: 1080, Bitrate: 2_000_000}, {Width: 1280, Height: 720, Bitrate: 3_000_000}, {Width: 640, Height: 360, Bitrate: 9_000_000},
	}
	for name, c := range map[string]struct {
		rids, sizes [3]int // by the order in which the layers appear
		best        byte
	}{
		"OBS, largest first":    {[3]int{0, 1, 2}, [3]int{0, 1, 2}, 0},
		"OBS, smallest first":   {[3]int{2, 1, 0}, [3]int{2, 1, 0}, 2},
		"\"0\" is the smallest": {[3]int{0, 1, 2}, [3]int{2, 0, 1}, 1},
		"the middle is first":   {[3]int{1, 0, 2}, [3]int{1, 0, 2}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				room := newClass(t, media.Video)
				te := newTeacher(room.track, 1)
				info := te.info()
				for l := range info.Layers {
					info.Layers[l] = sizes[c.sizes[l]]
					info.Layers[l].RID = string(rune('0' + c.rids[l]))
				}
				room.track.Start(info)
				te.teach(110)
				got := room.wire.take()
				if last := layerOf(&got[len(got)-1]); last != c.best {
					t.Errorf("layer %d is served, want %d", last, c.best)
				}
			})
		})
	}
}

func TestSilentLayerIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Video)
		te := newTeacher(c.track, 1)
		info := te.info()
		info.Layers[0].Bitrate = silent
		c.track.Start(info)
		te.teach(10)
		got := c.wire.take()
		if len(got) != 30 || layerOf(&got[0]) != 1 {
			t.Fatalf("%d packets", len(got))
		}
	})
}

func TestMissingPacketsAreSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Video)
		te := newTeacher(c.track, 1)
		te.teach(30)
		sent := c.wire.take()
		lost := sent[40]
		nack := func() []rtp.Packet {
			var scratch media.Packet
			c.leg.resend(c.pump, []rtcp.NackPair{{PacketID: lost.SequenceNumber, LostPackets: 1}}, &scratch, c.pump.now())
			return c.wire.take()
		}
		got := nack()
		if len(got) != 2 || got[0].SSRC != 12 || got[0].PayloadType != 97 || got[1].SequenceNumber != got[0].SequenceNumber+1 {
			t.Fatalf("repair is %v", got)
		}
		if osn := binary.BigEndian.Uint16(got[0].Payload); osn != lost.SequenceNumber || !bytes.Equal(got[0].Payload[2:], lost.Payload) ||
			got[0].Timestamp != lost.Timestamp || got[0].Marker != lost.Marker {
			t.Errorf("the repair of %d is not what was sent", osn)
		}
		if got := nack(); len(got) != 0 {
			t.Errorf("asked again at once: %d packets", len(got))
		}
		time.Sleep(time.Second)
		c.leg.out.codecs[0].repair = 0
		got = nack()
		if len(got) != 2 {
			t.Fatalf("without repair packets: %v", got)
		}
		if a, b := mustMarshal(t, &got[0]), mustMarshal(t, &lost); !bytes.Equal(a, b) {
			t.Errorf("sent again is not what was sent:\n% x\n% x", a[:32], b[:32])
		}
	})
}

func mustMarshal(t *testing.T, p *rtp.Packet) []byte {
	t.Helper()
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPleaIsAnsweredFromTheRingFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Video)
		te := newTeacher(c.track, 1)
		te.teach(75)
		c.wire.take()
		c.leg.plead(c.pump)
		synctest.Wait()
		te.teach(20)
		got := c.wire.take()
		checkFlow(t, got)
		if frameOf(&got[0]) != 50 || frameOf(&got[len(got)-1]) != 94 {
			t.Errorf("frames %d to %d, want 50 to 94", frameOf(&got[0]), frameOf(&got[len(got)-1]))
		}
		if n := c.keyframesAsked(); n != 0 {
			t.Errorf("%d keyframes were asked for", n)
		}
		c.leg.plead(c.pump)
		synctest.Wait()
		if n := c.keyframesAsked(); n != 1 {
			t.Errorf("the replay did not help, and %d keyframes were asked for", n)
		}
	})
}

// Every keyframe costs all students bitrate, and every pass of the pump costs time of all.
func TestOneSubscriberThatNeverDecodesDoesNotSpendTheClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Video)
		te := newTeacher(c.track, 1)
		te.teach(75)
		began := c.keyframesAsked()
		for range 12 * 25 {
			for range 20 {
				c.leg.plead(c.pump)
			}
			te.teach(1)
		}
		if n := c.keyframesAsked() - began; n < 2 || n > 5 {
			t.Errorf("12 s of pleas made %d requests for a keyframe", n)
		}
		if c.leg.counts.pleas != 20*12*25 {
			t.Errorf("%d pleas are counted", c.leg.counts.pleas)
		}
	})
}

func TestLatePacketFitsItsHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Video)
		te := newTeacher(c.track, 1)
		te.teach(10)
		held := te.packet(0, 0, false)
		held.Payload = bytes.Clone(held.Payload)
		for part := 1; part < 3; part++ {
			p := te.packet(0, part, false)
			c.track.Write(&p)
		}
		te.frame++
		synctest.Wait()
		c.track.Write(&held)
		te.teach(5)
		got := c.wire.take()
		if len(got) != 48 {
			t.Fatalf("%d packets, want 48", len(got))
		}
		got[30], got[31], got[32] = got[32], got[30], got[31] // back into their order
		checkFlow(t, got)
	})
}

func TestStudentWithoutTheCodecGetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Video)
		te := newTeacher(c.track, 1)
		info := te.info()
		info.Codec = media.Codec{MimeType: "video/H264", ClockRate: 90000}
		c.track.Start(info)
		te.teach(10)
		if got := c.wire.take(); len(got) != 0 {
			t.Errorf("%d packets", len(got))
		}
		if s := c.leg.stats(); !s.Unserved {
			t.Errorf("status %+v", s)
		}
		if d := c.track.TakeDemand(); d.Layers != 0 {
			t.Errorf("layers %b are wanted for nobody", d.Layers)
		}
		te = newTeacher(c.track, 2)
		te.teach(10)
		if got := c.wire.take(); len(got) != 30 {
			t.Errorf("with a codec that the student has: %d packets, want 30", len(got))
		}
	})
}

func TestSoundStartsLiveAndSaysWhenItWasCaptured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Audio)
		opus := media.Codec{MimeType: "audio/opus", ClockRate: 48000, Channels: 2}
		c.leg.out.codecs = []codec{{Codec: opus, payload: 111}}
		c.track.Start(media.TrackInfo{Kind: media.Audio, Codec: opus, Source: 1, Layers: make([]media.LayerInfo, 1)})
		base := time.Now().UnixMicro()
		for i := range 100 {
			p := media.Packet{
				Source: 1, Number: uint64(i + 1), Timestamp: uint32(960 * i), Captured: time.Now().UnixMicro(),
				Flags: media.First | media.Last, Payload: []byte{byte(i)},
			}
			c.track.Report(0, media.Clock{NTP: media.NTPFromMicros(77_000_000), RTP: 0})
			c.track.Write(&p)
			time.Sleep(20 * time.Millisecond)
		}
		got := c.wire.take()
		if len(got) != 100 {
			t.Fatalf("%d packets", len(got))
		}
		for i := range got {
			at := media.MicrosFromNTP(binary.BigEndian.Uint64(got[i].GetExtension(3)))
			if got[i].Timestamp-got[0].Timestamp != uint32(960*i) || got[i].Marker || at != base+int64(20_000*i) {
				t.Fatalf("packet %d: %v captured %d µs after the first", i, got[i].Header, at-base)
			}
		}
		var reports []*rtcp.SenderReport
		for _, p := range c.wire.rtcp {
			if sr, ok := p.(*rtcp.SenderReport); ok {
				reports = append(reports, sr)
			}
		}
		if len(reports) < 2 {
			t.Fatalf("%d sender reports in 2 s", len(reports))
		}
		for _, sr := range reports {
			since := time.Duration(sr.RTPTime-got[0].Timestamp) * time.Second / 48000
			if want := 77*time.Second + since; time.Duration(media.MicrosFromNTP(sr.NTPTime))*time.Microsecond-want > time.Microsecond {
				t.Errorf("report %v, want the publisher's clock %s", sr, want)
			}
		}
	})
}

func TestPumpAllocatesNothing(t *testing.T) {
	p, te := silentPump(t, 20)
	for i, l := range p.all() {
		if i%2 == 0 { // half of them watch their network by numbers
			l.out.count, l.arrivals = 4, &forward.Arrivals{}
		}
	}
	if n := testing.AllocsPerRun(100, func() { te.write(); p.pass() }); n != 0 {
		t.Errorf("%v allocations for a frame of three layers", n)
	}
}

// pass reads what there is and serves it.
func (p *pump) pass() {
	now := p.now()
	p.gather(now)
	p.serve(now)
}

// silentPump is a pump that does not run, with students whose packets go nowhere.
func silentPump(t testing.TB, students int) (*pump, *teacher) {
	hub := relay.NewHub(relay.Config{})
	track, release := hub.Acquire(media.TrackID{Room: "algebra", Name: media.Camera})
	now := int64(1)
	p := newPump(track, media.Video, release, noFan(t), newMetrics(nil, &Edge{}), func() int64 { now += 40_000; return now })
	t.Cleanup(release)
	for range students {
		out := (&wire{}).binding()
		out.stream = nowhere{}
		l := loneLeg(p, out, nil, 0)
		l.setOpen(true, 1)
		p.add(l)
	}
	te := newTeacher(track, 1)
	for range 2300 { // around the ring, so that it has all its memory
		te.write()
		p.pass()
	}
	return p, te
}

type nowhere struct{}

func (nowhere) WriteRTP(*rtp.Header, []byte) (int, error) { return 0, nil }
func (nowhere) Write([]byte) (int, error)                 { return 0, nil }

func BenchmarkPump(b *testing.B) {
	p, te := silentPump(b, 200)
	b.ReportAllocs()
	for b.Loop() {
		te.write()
		p.pass()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/600, "ns/packet")
}

func TestRingThatJumpsAheadIsBegunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Video)
		te := newTeacher(c.track, 1)
		te.teach(20)
		// The layers were not wanted here for a while; what comes next is a keyframe far ahead.
		for l := range te.number {
			te.number[l] += 900
		}
		te.frame = 50
		_, w := c.join(media.Video)
		synctest.Wait()
		te.teach(20)
		for _, got := range [][]rtp.Packet{c.wire.take(), w.take()} {
			checkFlow(t, got)
			if frameOf(&got[0]) != 0 || frameOf(&got[len(got)-1]) != 69 {
				t.Errorf("frames %d to %d, want 0 to 69", frameOf(&got[0]), frameOf(&got[len(got)-1]))
			}
		}
		for l := range te.number {
			te.number[l] += 900
		}
		te.teach(20) // no keyframe
		if got := c.wire.take(); len(got) != 0 {
			t.Errorf("%d packets that cannot be decoded", len(got))
		}
		if n := c.keyframesAsked(); n == 0 {
			t.Error("no keyframe was asked for")
		}
	})
}
