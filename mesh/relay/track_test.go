package relay

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lyceum/mesh/media"
)

var camera = media.TrackID{Room: "algebra", Name: media.Camera}

// testTrack is a live track of three layers that nothing feeds.
func testTrack(t *testing.T) *Track {
	t.Helper()
	h := NewHub(Config{})
	track, release := h.Acquire(camera)
	t.Cleanup(release)
	track.Start(threeLayers(1))
	return track
}

func threeLayers(source uint32) media.TrackInfo {
	return media.TrackInfo{Kind: media.Video, Source: source, Layers: make([]media.LayerInfo, 3)}
}

// frames writes whole frames of three packets each, the first of them a keyframe, and returns the next number.
func frames(track *Track, l media.Layer, source uint32, number uint64, n int) uint64 {
	for f := range n {
		for i := range 3 {
			p := media.Packet{Layer: l, Source: source, Number: number, Frame: number / 3, Payload: []byte{byte(number)}}
			if f == 0 {
				p.Flags |= media.Key
			}
			if i == 0 {
				p.Flags |= media.First
			}
			if i == 2 {
				p.Flags |= media.Last
			}
			track.Write(&p)
			number++
		}
	}
	return number
}

// read takes all that a reader has now.
func read(r *Reader) (numbers []uint64) {
	var p media.Packet
	for r.Next(&p) {
		numbers = append(numbers, p.Number)
	}
	return numbers
}

func wantRange(t *testing.T, got []uint64, from, to uint64) {
	t.Helper()
	if len(got) != int(to-from) {
		t.Fatalf("read %d packets %v, want %d to %d", len(got), got, from, to-1)
	}
	for i, n := range got {
		if n != from+uint64(i) {
			t.Fatalf("packet %d has number %d, want %d", i, n, from+uint64(i))
		}
	}
}

func TestLateReaderStartsAtTheNewestKeyframe(t *testing.T) {
	track := testTrack(t)
	next := frames(track, 0, 1, 1000, 5)
	key := next
	next = frames(track, 0, 1, next, 4)
	r := track.NewReader()
	r.Want(media.LayersOf(0))
	wantRange(t, read(r), key, next)
	end := frames(track, 0, 1, next, 2)
	wantRange(t, read(r), next, end)
	if d := track.TakeDemand(); d.Keyframes != 0 {
		t.Errorf("the teacher is asked for keyframes of layers %b, want none", d.Keyframes)
	}
}

func TestReaderGetsOnlyTheLayersItWants(t *testing.T) {
	track := testTrack(t)
	r := track.NewReader()
	r.Want(media.LayersOf(2))
	frames(track, 0, 1, 1000, 2)
	next := frames(track, 2, 1, 2000, 2)
	wantRange(t, read(r), 2000, next)
}

func TestPacketsOutOfOrderAreKeptOnce(t *testing.T) {
	track := testTrack(t)
	r := track.NewReader()
	r.Want(media.LayersOf(0))
	for _, n := range []uint64{10, 12, 11, 12, 10} {
		track.Write(&media.Packet{Number: n, Source: 1, Payload: []byte{1}})
	}
	got := read(r)
	if len(got) != 3 || got[0] != 10 || got[1] != 12 || got[2] != 11 {
		t.Errorf("read %v, want 10 12 11 in the order of arrival", got)
	}
	var p media.Packet
	if !track.Packet(0, 11, &p) || p.Number != 11 {
		t.Error("packet 11 is not found by its number")
	}
	if track.Packet(0, 9, &p) {
		t.Error("packet 9 never came and is found")
	}
}

func TestSlowReaderResumesAtKeyframe(t *testing.T) {
	track := testTrack(t)
	r := track.NewReader()
	r.Want(media.LayersOf(0))
	next := frames(track, 0, 1, 1000, videoSlots) // three times around the ring
	key := next
	next = frames(track, 0, 1, next, 3)
	wantRange(t, read(r), key, next)
}

func TestKeyframeOutOfReachIsNoPlaceToStart(t *testing.T) {
	track := testTrack(t)
	frames(track, 0, 1, 1000, videoSlots/3+2)
	if n, ok := track.Keyframe(0); ok {
		t.Errorf("keyframe at %d, but the ring has lost its beginning", n)
	}
}

func TestNewSourceDoesNotStartFromTheOldKeyframe(t *testing.T) {
	track := testTrack(t)
	frames(track, 0, 1, 1000, 2)
	track.Stop()
	if _, ok := track.Keyframe(0); ok {
		t.Error("a track that nobody publishes offers a keyframe")
	}
	track.Start(threeLayers(2))
	track.Write(&media.Packet{Number: 5000, Source: 2, Payload: []byte{1}})
	if _, ok := track.Keyframe(0); ok {
		t.Error("the keyframe of source 1 is offered to readers of source 2")
	}
	frames(track, 0, 2, 5001, 1)
	if n, ok := track.Keyframe(0); !ok || n != 5001 {
		t.Errorf("keyframe %d %v, want 5001", n, ok)
	}
}

func TestReaderNeverStartsBeforeABreak(t *testing.T) {
	track := testTrack(t)
	track.SetHops(1)
	r := track.NewReader()
	r.Want(media.LayersOf(0))
	track.TakeDemand()
	next := frames(track, 0, 1, 1000, 3)
	r.Want(0)
	track.Cut(media.AllLayers) // the parent stops sending
	late := track.NewReader()
	late.Want(media.LayersOf(0))
	if got := read(late); len(got) != 0 {
		t.Errorf("read %v from before the break", got)
	}
	end := frames(track, 0, 1, next+300, 2)
	wantRange(t, read(late), next+300, end)
	if k, ok := track.Keyframe(0); !ok || k != next+300 {
		t.Errorf("keyframe %d %v, want %d", k, ok, next+300)
	}
}

func TestDemandIsTheUnionOfReaders(t *testing.T) {
	track := testTrack(t)
	a, b := track.NewReader(), track.NewReader()
	a.Want(media.LayersOf(0, 1))
	b.Want(media.LayersOf(2))
	<-track.Demands()
	if d := track.TakeDemand(); d.Layers != media.LayersOf(0, 1, 2) {
		t.Errorf("demand %b, want three layers", d.Layers)
	}
	b.Close()
	<-track.Demands()
	if d := track.TakeDemand(); d.Layers != media.LayersOf(0, 1) {
		t.Errorf("demand %b after a reader left, want two layers", d.Layers)
	}
}

func TestKeyframeRequestsAreMerged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		track := testTrack(t)
		asked := 0
		for range 1000 { // a thousand students in five seconds
			r := track.NewReader()
			r.RequestKeyframe(1)
			r.RequestKeyframe(1)
			r.Close()
			if track.TakeDemand().Keyframes.Has(1) {
				asked++
			}
			time.Sleep(5 * time.Millisecond)
		}
		if asked != 10 {
			t.Errorf("the teacher was asked %d times in 5 s, want 10", asked)
		}
	})
}

func TestStateChangesWakeReaders(t *testing.T) {
	track := testTrack(t)
	r := track.NewReader()
	v := track.Version()
	track.Report(0, media.Clock{NTP: 1, RTP: 2})
	<-r.Wait()
	track.Stop()
	<-r.Wait()
	if s := track.State(); s.Live || s.Version == v || s.Version != track.Version() || s.Clocks[0].RTP != 2 {
		t.Errorf("state %+v", s)
	}
}

func TestUnknownLayerIsRefused(t *testing.T) {
	track := testTrack(t)
	for _, l := range []media.Layer{3, media.MaxLayers, 255} {
		if track.Write(&media.Packet{Layer: l, Number: 1}) {
			t.Errorf("layer %d was accepted", l)
		}
	}
}

func TestPacketPathAllocatesNothing(t *testing.T) {
	h := NewHub(Config{Registerer: prometheus.NewRegistry()})
	track, release := h.Acquire(camera)
	defer release()
	track.Start(threeLayers(1))
	r := track.NewReader()
	r.Want(media.LayersOf(0))
	p := media.Packet{Source: 1, Payload: make([]byte, 1200)}
	var out media.Packet
	step := func() {
		p.Number++
		track.Write(&p)
		for r.Next(&out) {
		}
	}
	for range 2 * videoSlots {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations per packet, want none", n)
	}
}

func BenchmarkWriteAndRead(b *testing.B) {
	h := NewHub(Config{})
	track, release := h.Acquire(camera)
	defer release()
	track.Start(threeLayers(1))
	r := track.NewReader()
	r.Want(media.LayersOf(0))
	p := media.Packet{Source: 1, Payload: make([]byte, 1200)}
	var out media.Packet
	b.ReportAllocs()
	for b.Loop() {
		p.Number++
		track.Write(&p)
		r.Next(&out)
	}
}

func TestWhatComesTogetherWakesOnceAndCountsAsOneByOne(t *testing.T) {
	track := testTrack(t)
	r := track.NewReader()
	defer r.Close()
	r.Want(media.LayersOf(1))
	<-r.Wait()
	other := track.NewReader()
	defer other.Close()
	other.Want(media.LayersOf(2))
	<-other.Wait()
	packet := func(l media.Layer, number uint64) media.Packet {
		return media.Packet{Layer: l, Source: 1, Number: number, Payload: []byte{byte(number)}}
	}
	taken := track.WriteAll([]media.Packet{packet(1, 7), packet(1, 8), packet(1, 7), packet(3, 9), packet(1, 6)})
	if taken != 3 {
		t.Errorf("%d of a duplicate, an unknown layer and three others were taken", taken)
	}
	select {
	case <-r.Wait():
	default:
		t.Error("the reader was not woken")
	}
	select {
	case <-r.Wait():
		t.Error("the reader was woken twice")
	case <-other.Wait():
		t.Error("a reader of another layer was woken")
	default:
	}
	if got := read(r); len(got) != 3 || got[0] != 7 || got[1] != 8 || got[2] != 6 {
		t.Errorf("the reader got %v", got)
	}
	if track.WriteAll(nil) != 0 || track.WriteAll([]media.Packet{packet(1, 7)}) != 0 {
		t.Error("what is there already was taken")
	}
	select {
	case <-r.Wait():
		t.Error("the reader was woken for a duplicate")
	default:
	}
}
