package client

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// lecture is the clip that is played when no file is named; clip/make.sh makes it.
//
//go:embed clip/lecture-q.ivf clip/lecture-h.ivf clip/lecture-f.ivf clip/lecture.ogg
var lecture embed.FS

// rids are the names of the simulcast layers, smallest first, as browsers' examples name them.
var rids = [...]string{"q", "h", "f"}

// clip is an encoded piece of picture and sound that can be played in a loop. It is never changed after it was read.
type clip struct {
	// layers are the sizes of the picture, smallest first, frame for frame the same.
	layers []clipLayer
	// keys tells of each frame whether it is a keyframe, in every layer.
	keys []bool
	// frame is how long each frame shows.
	frame time.Duration
	// sound are Opus packets of soundPacket each; nil is a clip without sound.
	sound [][]byte
}

// clipLayer is one size of the picture.
type clipLayer struct {
	rid    string
	frames [][]byte
}

// length is how long the clip plays before it begins again.
func (c *clip) length() time.Duration { return time.Duration(len(c.keys)) * c.frame }

// openClip reads the layers largest layers of a clip. An empty name is the embedded lecture; a name that ends in .ivf is a
// single layer with its sound, if any, beside it in a file that ends in .ogg; any other name is the prefix of
// name-q.ivf, name-h.ivf, name-f.ivf and name.ogg.
func openClip(name string, layers int) (*clip, error) {
	var fsys fs.FS = lecture
	base := "clip/lecture"
	if name != "" {
		dir, file := filepath.Split(name)
		if dir == "" {
			dir = "."
		}
		fsys, base = os.DirFS(dir), file
	}
	c := &clip{}
	sound := base + ".ogg"
	if single, ok := strings.CutSuffix(base, ".ivf"); ok {
		if layers > 1 {
			return nil, fmt.Errorf("%s is one layer and cannot be published as %d: name the prefix of several files, "+
				"prefix-%s.ivf for example", name, layers, rids[0])
		}
		sound = single + ".ogg"
		if err := c.readLayer(fsys, base, ""); err != nil {
			return nil, err
		}
	} else {
		for _, rid := range rids[len(rids)-layers:] {
			if err := c.readLayer(fsys, base+"-"+rid+".ivf", rid); err != nil {
				return nil, err
			}
		}
	}
	raw, err := fs.ReadFile(fsys, sound)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c, nil
	case err != nil:
		return nil, fmt.Errorf("read the clip's sound: %w", err)
	}
	if c.sound, err = readOpus(raw); err != nil {
		return nil, fmt.Errorf("read the clip's sound from %s: %w", sound, err)
	}
	return c, nil
}

// isSingle reports whether a name is that of a single layer.
func isSingle(name string) bool { return strings.HasSuffix(name, ".ivf") }

// readLayer adds one layer and narrows keys to the keyframes that every layer has.
func (c *clip) readLayer(fsys fs.FS, file, rid string) error {
	raw, err := fs.ReadFile(fsys, file)
	if err != nil {
		return fmt.Errorf("read the clip's picture: %w", err)
	}
	frames, every, err := readIVF(raw)
	if err != nil {
		return fmt.Errorf("read the clip's picture from %s: %w", file, err)
	}
	if c.layers == nil {
		c.frame = every
		c.keys = make([]bool, len(frames))
		for i := range c.keys {
			c.keys[i] = true
		}
	}
	if len(frames) != len(c.keys) || every != c.frame {
		return fmt.Errorf("%s has %d frames of %s, but %s has %d of %s: every layer must show the same frames",
			file, len(frames), every, c.layers[0].rid, len(c.keys), c.frame)
	}
	for i, f := range frames {
		c.keys[i] = c.keys[i] && vp8FrameIsKey(f)
	}
	if !c.keys[0] {
		return fmt.Errorf("%s does not begin with a keyframe", file)
	}
	c.layers = append(c.layers, clipLayer{rid: rid, frames: frames})
	return nil
}

// vp8FrameIsKey reads the inverse key frame flag of a VP8 frame header (RFC 6386, section 9.1).
func vp8FrameIsKey(frame []byte) bool { return len(frame) > 0 && frame[0]&1 == 0 }
