package wire

import (
	"bytes"
	"errors"
	"io"
	"math"
	"reflect"
	"testing"

	"lyceum/mesh/media"
)

func fullState() TrackState {
	return TrackState{
		Known: true, Live: true, Hops: 2, Path: []string{"sin-1", "fra-1"},
		Info: media.TrackInfo{
			Kind: media.Video, Source: 0xdeadbeef,
			Codec:  media.Codec{MimeType: "video/H264", ClockRate: 90000, Fmtp: "profile-level-id=42e01f"},
			Layers: []media.LayerInfo{{RID: "q", Width: 320, Height: 180, Bitrate: 150_000}, {RID: "h", Width: 640, Height: 360}},
		},
		Clocks: [media.MaxLayers]media.Clock{{NTP: math.MaxUint64, RTP: math.MaxUint32}, {}, {NTP: 1}},
		Births: [media.MaxLayers]media.Clock{{NTP: 1 << 40, RTP: 5}, {}, {}, {NTP: math.MaxUint64, RTP: 1}},
	}
}

func everyMessage() []Message {
	return []Message{
		&Hello{Versions: []uint64{1, 2}, Node: "edge-1", Link: 9, Stripe: 3, Stripes: 4, Boot: 1 << 41},
		&Welcome{Version: 1, Node: "home-1", Boot: 1 << 42},
		&Subscribe{
			Sub: 5, Track: media.TrackID{Room: "algebra", Name: "camera", Origin: "sin-2"}, Epoch: 1 << 50, Layers: media.LayersOf(0, 2), Standby: true,
			From: [media.MaxLayers]uint64{math.MaxUint64, 0, 7},
		},
		&Accepted{Sub: 5, State: fullState()},
		&Refused{Sub: 5, Reason: Redirect, Epoch: 3, Nodes: []string{"a", "b"}},
		&Update{Sub: 5, Layers: media.AllLayers, From: [media.MaxLayers]uint64{9, math.MaxUint64}},
		&Update{Sub: 5, Standby: true},
		&Unsubscribe{Sub: 5},
		&Keyframe{Sub: 5, Layer: 3, Known: math.MaxUint64},
		&Report{Sub: 5, Layer: 1, Source: 8, Clock: media.Clock{NTP: 1 << 63, RTP: 9}, Birth: media.Clock{NTP: 6, RTP: 7}},
		&State{Sub: 5, State: fullState()},
		&State{Sub: 6},
		&GoAway{Deadline: 30000, Alternatives: []string{"c"}},
		&Stripes{Want: 7, Redial: 3},
	}
}

func TestMessagesComeBack(t *testing.T) {
	var b []byte
	for _, m := range everyMessage() {
		b = AppendMessage(b, m)
	}
	r := NewReader(bytes.NewReader(b))
	for _, want := range everyMessage() {
		got, err := r.Next()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, got, want)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Fatalf("at the end: %v", err)
	}
}

func TestCutOffMessagesAreErrors(t *testing.T) {
	for _, m := range everyMessage() {
		b := AppendMessage(nil, m)
		for n := 1; n < len(b); n++ {
			if _, err := NewReader(bytes.NewReader(b[:n])).Next(); err == nil || err == io.EOF {
				t.Fatalf("%T cut off at %d of %d: %v", m, n, len(b), err)
			}
		}
		body := m.appendBody(nil)
		for n := range body {
			if n == short(m, len(body)) {
				continue // as a peer says it that does not know the last field
			}
			if _, err := parseMessage(m.kind(), body[:n]); !errors.Is(err, ErrMalformed) {
				t.Fatalf("%T with %d of %d bytes: %v", m, n, len(body), err)
			}
		}
	}
}

// short is the length of a body without the field that peers of the first release do not know, 0 if there is none.
func short(m Message, whole int) int {
	const clock = 12
	switch m := m.(type) {
	case *Update:
		return 3
	case *Subscribe:
		return whole - 1 - len(m.Track.Origin)
	case *Accepted, *State:
		return whole - 1 - media.MaxLayers*clock
	case *Report:
		return whole - clock
	}
	return 0
}

func TestTheFutureIsSkipped(t *testing.T) {
	// Each known message has grown by a field, and messages of new kinds lie between.
	var b []byte
	for _, m := range everyMessage() {
		b = append(b, byte(m.kind()))
		b = appendBlock(b, append(m.appendBody(nil), "more"...))
		b = append(b, 100)
		b = appendBlock(b, []byte("a message that nobody knows yet"))
	}
	r := NewReader(bytes.NewReader(b))
	for _, want := range everyMessage() {
		got, err := r.Next()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, got, want)
		}
	}
}

func TestHostileMessagesAreRefused(t *testing.T) {
	live := fullState()
	live.Info.Layers = nil
	long := fullState()
	for range MaxPath {
		long.Path = append(long.Path, "n")
	}
	far := fullState()
	far.Hops = MaxPath + 1
	tests := map[string]Message{
		"no room":              &Subscribe{Sub: 1, Track: media.TrackID{Name: "camera"}},
		"a long name":          &Subscribe{Sub: 1, Track: media.TrackID{Room: string(make([]byte, MaxName+1)), Name: "camera"}},
		"a live track without": &State{State: live},
		"a long path":          &State{State: long},
		"a far home":           &State{State: far},
		"a layer too high":     &Keyframe{Layer: media.MaxLayers},
		"many alternatives":    &GoAway{Alternatives: make([]string, maxNodes+1)},
	}
	for name, m := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := NewReader(bytes.NewReader(AppendMessage(nil, m))).Next(); !errors.Is(err, ErrMalformed) {
				t.Fatalf("%+v, %v", got, err)
			}
		})
	}
	for name, b := range map[string][]byte{
		"an endless message": {kindHello, 0xff, 0xff, 0xff, 0x7f},
		"an endless number":  bytes.Repeat([]byte{0xff}, 11),
		"a huge number":      append(bytes.Repeat([]byte{0xff}, 9), 0x7f),
	} {
		if _, err := NewReader(bytes.NewReader(b)).Next(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHelloAgrees(t *testing.T) {
	for _, test := range []struct {
		child  []uint64
		parent uint64
		want   uint64
	}{
		{[]uint64{Version + 1, Version, 1}, Version, Version},
		{[]uint64{1, Version}, Version, Version}, // in whatever order
		{[]uint64{1}, Version, 1},
		{[]uint64{Version, 1}, 1, 1},
		{[]uint64{Version + 1}, Version, 0},
		{[]uint64{2}, 1, 0},
		{[]uint64{0}, Version, 0},
		{nil, Version, 0},
	} {
		if v, ok := (&Hello{Versions: test.child}).Agree(test.parent); v != test.want || ok != (test.want != 0) {
			t.Errorf("a child of %v and a parent up to %d agreed on %d, %v", test.child, test.parent, v, ok)
		}
	}
}

func FuzzMessages(f *testing.F) {
	for version := Oldest; version <= Version; version++ {
		for _, p := range readPinned(f, version) {
			f.Add(p.bytes)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b))
		for {
			m, err := r.Next()
			if err != nil {
				return
			}
			// What was understood can be said again.
			again, err := NewReader(bytes.NewReader(AppendMessage(nil, m))).Next()
			if err != nil || !reflect.DeepEqual(again, m) {
				t.Fatalf("%v\n got %+v\nwant %+v", err, again, m)
			}
		}
	})
}
