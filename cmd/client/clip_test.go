package client

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestLectureLoopsWithKeyframesInStep(t *testing.T) {
	c, err := openClip("", 3)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.layers) != 3 || c.layers[0].rid != "q" || c.layers[2].rid != "f" {
		t.Fatalf("layers %d", len(c.layers))
	}
	if d := c.length() - 12*time.Second; d.Abs() > time.Millisecond {
		t.Errorf("the lecture is %s long", c.length())
	}
	for i, key := range c.keys {
		if key != (i%60 == 0) {
			t.Errorf("frame %d: keyframe %v", i, key)
		}
	}
	if len(c.sound) < 600 {
		t.Errorf("%d packets of sound leave the end of the loop silent", len(c.sound))
	}
}

func TestLayersAreTakenFromTheTop(t *testing.T) {
	c, err := openClip("", 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.layers) != 1 || c.layers[0].rid != "f" {
		t.Errorf("one layer is %q", c.layers[0].rid)
	}
}

func TestUnplayableClipsSaySo(t *testing.T) {
	dir := t.TempDir()
	good := shortClip(t, 4)
	write := func(name string, raw []byte) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	raw, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	vp9 := slices.Clone(raw)
	copy(vp9[8:], "VP90")
	for name, file := range map[string]string{
		"missing": filepath.Join(dir, "none.ivf"),
		"empty":   write("empty.ivf", nil),
		"cut off": write("cut.ivf", raw[:len(raw)-1]),
		"vp9":     write("vp9.ivf", vp9),
		"prefix":  filepath.Join(dir, "none"),
	} {
		if _, err := openClip(file, 1); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := openClip(good, 3); err == nil {
		t.Error("one file was taken for three layers")
	}
}

// shortClip writes the first frames of the lecture's smallest layer to a file, as a clip that loops quickly.
func shortClip(t *testing.T, frames int) string {
	t.Helper()
	raw, err := lecture.ReadFile("clip/lecture-q.ivf")
	if err != nil {
		t.Fatal(err)
	}
	at := 32
	for range frames {
		at += 12 + int(binary.LittleEndian.Uint32(raw[at:]))
	}
	name := filepath.Join(t.TempDir(), "short.ivf")
	if err := os.WriteFile(name, raw[:at], 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func FuzzReadIVF(f *testing.F) {
	raw, err := lecture.ReadFile("clip/lecture-q.ivf")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw[:8000])
	f.Fuzz(func(t *testing.T, raw []byte) {
		frames, every, err := readIVF(raw)
		if err == nil && (len(frames) < 2 || every <= 0) {
			t.Errorf("%d frames of %s are no clip", len(frames), every)
		}
	})
}

func FuzzReadOpus(f *testing.F) {
	raw, err := lecture.ReadFile("clip/lecture.ogg")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw[:8000])
	f.Fuzz(func(t *testing.T, raw []byte) {
		packets, err := readOpus(raw)
		if err == nil && len(packets) == 0 {
			t.Error("no packets and no error")
		}
	})
}
