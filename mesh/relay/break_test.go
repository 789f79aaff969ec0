package relay

import (
	"testing"

	"lyceum/mesh/media"
)

// replica is a track whose parent has sent a keyframe and two more frames, from packet 1000 to next, and has then been
// told that nobody wants it any more.
func replica(t *testing.T) (track *Track, next uint64) {
	t.Helper()
	track = testTrack(t)
	track.SetHops(1)
	r := track.NewReader()
	r.Want(media.LayersOf(0))
	track.TakeDemand()
	next = frames(track, 0, 1, 1000, 3)
	r.Close()
	track.TakeDemand()
	track.Cut(media.AllLayers)
	return track, next
}

func TestLayerWantedAgainStartsAtTheKeyframeThatItHadBefore(t *testing.T) {
	track, next := replica(t)
	r := track.NewReader()
	r.Want(media.LayersOf(0))
	track.TakeDemand()
	// No keyframe has come since: the parent begins with the one that was here.
	end := frames(track, 0, 1, 1000, 5)
	if end <= next {
		t.Fatal("the parent sends nothing new")
	}
	wantRange(t, read(r), 1000, end)
	if k, ok := track.Keyframe(0); !ok || k != 1000 {
		t.Errorf("keyframe %d %v, want 1000", k, ok)
	}
}

func TestKeyframeUnderWayWhenTheLayerIsStoppedIsNoPlaceToStart(t *testing.T) {
	track, next := replica(t)
	next = frames(track, 0, 1, next, 1) // it crossed the message that stops the layer
	if k, ok := track.Keyframe(0); ok {
		t.Errorf("keyframe %d is offered though nothing comes after it", k)
	}
	r := track.NewReader()
	r.Want(media.LayersOf(0))
	if got := read(r); len(got) != 0 {
		t.Errorf("read %v, which may be hours old", got)
	}
	end := frames(track, 0, 1, next+5000, 2)
	wantRange(t, read(r), next+5000, end)
}

func TestLayerThatWasWantedForAMomentStaysBroken(t *testing.T) {
	track, next := replica(t)
	r := track.NewReader()
	r.Want(media.LayersOf(0))
	r.Close()
	track.TakeDemand()
	track.Cut(media.AllLayers) // the parent never heard of it
	frames(track, 0, 1, next, 1)
	if _, ok := track.Keyframe(0); ok {
		t.Error("a keyframe is offered though the layer is not sent")
	}
}

func TestLayerThatIsWantedByNowIsNotCut(t *testing.T) {
	track := testTrack(t)
	track.SetHops(1)
	r := track.NewReader()
	r.Want(media.LayersOf(1))
	next := frames(track, 1, 1, 1000, 3)
	if cut := track.Cut(media.LayersOf(0, 1)); cut != media.LayersOf(0) {
		t.Errorf("cut %b, want layer 0 alone", cut)
	}
	if k, ok := track.Keyframe(1); !ok || k != 1000 {
		t.Errorf("keyframe %d %v, want 1000: packet %d is the next", k, ok, next)
	}
}

func TestHomeKeepsWhatNobodyWants(t *testing.T) {
	track, next := replica(t)
	track.SetHops(0)
	frames(track, 0, 1, next, 2)
	r := track.NewReader()
	r.Want(media.LayersOf(0))
	wantRange(t, read(r), next, next+6)
	r.Close()
	track.TakeDemand()
	if k, ok := track.Keyframe(0); !ok || k != next {
		t.Errorf("keyframe %d %v, want %d", k, ok, next)
	}
}

func TestSourceOfANodeWhoseClockIsBehindIsTaken(t *testing.T) {
	track := testTrack(t)
	r := track.NewReader()
	r.Want(media.LayersOf(0))
	high := frames(track, 0, 1, 1<<40, 2)
	read(r)
	track.Start(threeLayers(2))
	low := frames(track, 0, 2, 5000, 2)
	wantRange(t, read(r), 5000, low)
	if track.Write(&media.Packet{Number: high, Source: 1, Payload: []byte{1}}) {
		t.Error("a late packet of the source before was taken for the newest")
	}
	end := frames(track, 0, 2, low, 1)
	wantRange(t, read(r), low, end)
	if k, ok := track.Keyframe(0); !ok || k != low {
		t.Errorf("keyframe %d %v, want %d", k, ok, low)
	}
}

func TestLatePacketOfTheSourceBeforeFindsItsPlace(t *testing.T) {
	track := testTrack(t)
	r := track.NewReader()
	r.Want(media.LayersOf(0))
	track.Write(&media.Packet{Number: 10, Source: 1, Payload: []byte{1}})
	track.Start(threeLayers(2))
	track.Write(&media.Packet{Number: 12, Source: 1, Payload: []byte{1}})
	track.Write(&media.Packet{Number: 100, Source: 2, Payload: []byte{1}})
	track.Write(&media.Packet{Number: 11, Source: 1, Payload: []byte{1}})
	if got := read(r); len(got) != 4 {
		t.Errorf("read %v, want all four", got)
	}
}

func TestOneWriterDoesNotEndWhatAnotherHasStarted(t *testing.T) {
	track := testTrack(t)
	track.Start(threeLayers(2))
	track.End(1)
	if !track.State().Live {
		t.Error("the end of source 1 ended source 2")
	}
	track.End(2)
	if track.State().Live {
		t.Error("source 2 has not ended")
	}
}
