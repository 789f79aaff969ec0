//go:build browser

package browser

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"lyceum/test/up"
)

// encoding is one simulcast layer, as a page asks for it.
type encoding struct {
	RID   string  `json:"rid,omitempty"`
	Scale float64 `json:"scaleResolutionDownBy,omitempty"`
	Rate  int     `json:"maxBitrate,omitempty"`
	Mode  string  `json:"scalabilityMode,omitempty"`
}

// publication is what the bench's teacher publishes.
type publication struct {
	URL       string     `json:"url"`
	Token     string     `json:"token"`
	Codec     string     `json:"codec"`
	Source    int        `json:"source"`
	Width     int        `json:"width"`
	Height    int        `json:"height"`
	Encodings []encoding `json:"encodings"`
}

// watching is what a student of the bench asks for.
type watching struct {
	URL    string   `json:"url"`
	Token  string   `json:"token"`
	Codecs []string `json:"codecs"`
}

// school is a class in which one page teaches and others watch, through all that can happen to a codec.
type school struct {
	t       *testing.T
	mesh    *up.Mesh
	teacher *Tab
	rooms   []*room
	whip    string
	source  int
	table   [][]string
}

// room is one browser in which students sit.
type room struct {
	*Tab
	codecs []string // that it can decode
}

func (r *room) takes(codec string) bool { return slices.Contains(r.codecs, codec) }

// The students of a browser: one who stays for the whole test, and one who comes late to each codec.
const (
	faithful = "faithful"
	late     = "late"
)

// layered are the codecs of the matrix, with the layers in which each is published.
var layered = []struct {
	codec     string
	encodings []encoding
}{
	{"H264", []encoding{{RID: "q", Scale: 2, Rate: 150_000}, {RID: "f", Scale: 1, Rate: 600_000}}},
	{"VP8", []encoding{{RID: "q", Scale: 2, Rate: 150_000}, {RID: "f", Scale: 1, Rate: 600_000}}},
	{"VP9", []encoding{{RID: "q", Scale: 2, Rate: 150_000, Mode: "L1T1"}, {RID: "f", Scale: 1, Rate: 600_000, Mode: "L1T1"}}},
	{"AV1", []encoding{{RID: "q", Scale: 2, Rate: 150_000, Mode: "L1T1"}, {RID: "f", Scale: 1, Rate: 600_000, Mode: "L1T1"}}},
}

func TestEveryCodecInEveryBrowser(t *testing.T) {
	own := OwnAddress(t)
	var args []string
	if own != "" {
		args = []string{"--media", own}
	}
	m := up.Start(t, args...)
	s := &school{t: t, mesh: m, whip: m.Teacher.WHIP}
	t.Cleanup(s.print)
	page := ServeBench(t)
	s.teacher = Open(t, "teacher", page, desktop)
	s.rooms = append(s.rooms, &room{Tab: Open(t, "Chromium", page, desktop)})
	switch {
	case FindFirefox() == "":
		t.Log("Firefox is not installed: only Chromium watches")
	case own == "":
		t.Log("this machine has only loopback addresses, from which Firefox takes no media: only Chromium watches")
	default:
		s.rooms = append(s.rooms, &room{Tab: OpenFirefox(t, "Firefox", page, desktop)})
	}
	var can []string
	s.teacher.Do(&can, `teacher.codecs()`)
	for _, r := range s.rooms {
		r.Do(&r.codecs, `students.codecs()`)
		t.Logf("%s decodes %v", r.name, r.codecs)
		s.seat(r, faithful)
	}
	for _, c := range layered {
		if !slices.Contains(can, c.codec) {
			t.Logf("Chromium cannot encode %s here: it is not tried", c.codec)
			continue
		}
		if why := s.refused(c.codec, c.encodings); why != "" {
			t.Logf("the node takes no %s from teachers: %s", c.codec, why)
			continue
		}
		s.through(c.codec, c.encodings)
	}
	s.homeDies(layered[1].codec, layered[1].encodings)
}

// through takes one codec through all that can happen to it.
func (s *school) through(codec string, encodings []encoding) {
	s.step(codec, "another codec", 3, func() { s.publish(codec, encodings) }, s.sees(codec))
	s.step(codec, "late join", 0.5, func() {
		for _, r := range s.rooms {
			if r.takes(codec) {
				s.seat(r, late)
			}
		}
	}, s.sees(codec))
	s.step(codec, "smaller layer", 0.5, func() { s.choose(codec, encodings[0].RID) }, s.wide(320))
	s.step(codec, "larger layer", 0.5, func() { s.choose(codec, encodings[1].RID) }, s.wide(640))
	s.step(codec, "teacher reloads", 3, func() { s.publish(codec, encodings) }, s.sees(codec))
	s.step(codec, "pause and resume", 3, func() { s.teacher.Do(nil, `teacher.rest(1500)`) }, s.sees(codec))
	for _, r := range s.rooms {
		if r.takes(codec) {
			r.Do(nil, `students.leave(%v)`, late)
		}
	}
}

// choose lets all students ask for a layer.
func (s *school) choose(codec, rid string) {
	for _, r := range s.rooms {
		if r.takes(codec) {
			r.Do(nil, `students.choose(%v, %v)`, faithful, rid)
			r.Do(nil, `students.choose(%v, %v)`, late, rid)
		}
	}
}

// wide is that the picture has a width.
func (s *school) wide(width int) func(Seen) bool {
	return func(v Seen) bool { return v.Width == width && v.Source == s.source }
}

// homeDies takes the home of the class, which all others have their media from, and the teacher goes to another node.
func (s *school) homeDies(codec string, encodings []encoding) {
	s.publish(codec, encodings)
	s.step(codec, "home dies", 15, func() {
		s.mesh.Kill(s.t, 0)
		s.whip = s.mesh.Nodes[2].URL + "/whip/" + s.mesh.Room
		s.publish(codec, encodings)
	}, s.sees(codec))
}

// refused is why a node takes no publication in a codec, "" if it does.
func (s *school) refused(codec string, encodings []encoding) string {
	if err := s.try(codec, encodings); err != nil {
		return err.Error()
	}
	return ""
}

// publish lets a teacher with another colour begin a session instead of the one before.
func (s *school) publish(codec string, encodings []encoding) {
	s.t.Helper()
	if err := s.try(codec, encodings); err != nil {
		s.t.Fatal(err)
	}
}

func (s *school) try(codec string, encodings []encoding) error {
	s.source = (s.source + 1) % 6
	return s.teacher.Ask(nil, `teacher.publish(%v)`, publication{
		URL: s.whip, Token: s.mesh.Teacher.Token, Codec: codec, Source: s.source, Width: 640, Height: 360, Encodings: encodings,
	})
}

func (s *school) seat(r *room, student string) {
	r.Do(nil, `students.watch(%v, %v)`, student, watching{URL: s.mesh.Student.WHEP, Token: s.mesh.Student.Token, Codecs: r.codecs})
}

// sees is that the picture of the present teacher is shown in a codec.
func (s *school) sees(codec string) func(Seen) bool {
	return func(v Seen) bool { return v.Source == s.source && v.Codec == codec && v.Width > 0 }
}

// step lets something happen, waits until all see what they should, lets them watch a while, and judges what they saw. So
// many seconds of freezes, by the browser's own count, are allowed to each.
func (s *school) step(codec, what string, allowed float64, happen func(), ok func(Seen) bool) {
	s.t.Helper()
	before := map[*room]map[string]Seen{}
	for _, r := range s.rooms {
		r.Do(nil, `students.mark()`)
		before[r] = r.Look()
	}
	happen()
	for _, r := range s.rooms {
		if !r.takes(codec) {
			continue
		}
		for student := range r.Look() {
			if _, err := r.UntilSeen(student, what+" in "+codec, 20*time.Second, ok); err != nil {
				s.t.Error(err)
			}
		}
	}
	watch := time.NewTimer(1500 * time.Millisecond)
	<-watch.C
	for _, r := range s.rooms {
		if !r.takes(codec) {
			s.table = append(s.table, []string{codec, what, r.name, "cannot decode it"})
			continue
		}
		now := r.Look()
		for student, v := range now {
			s.note(codec, what, r, student, before[r][student], v)
			s.judge(codec+", "+what+", "+r.name+", "+student, before[r][student], v, allowed)
		}
	}
}

func (s *school) note(codec, what string, r *room, student string, a, b Seen) {
	s.table = append(s.table, []string{
		codec, what, r.name, student, fmt.Sprintf("%d", b.Shown-a.Shown), fmt.Sprintf("%.0f", b.First),
		fmt.Sprintf("%.0f", b.Gap), fmt.Sprintf("%.0f", b.Delay), fmt.Sprint(b.Width),
		fmt.Sprintf("%d/%d", b.Wrong-a.Wrong, b.Back-a.Back),
		fmt.Sprintf("%d/%d", b.FramesDecoded-a.FramesDecoded, b.FramesDropped-a.FramesDropped),
		fmt.Sprint(b.KeyFramesDecoded - a.KeyFramesDecoded),
		fmt.Sprintf("%d/%.1f", b.FreezeCount-a.FreezeCount, b.FreezesDuration-a.FreezesDuration),
		fmt.Sprintf("%d/%d", b.PLICount-a.PLICount, b.NACKCount-a.NACKCount),
		fmt.Sprintf("%d/%d", b.PacketsLost-a.PacketsLost, b.SoundLost-a.SoundLost),
	})
}

// judge fails for what a student must never see, and for freezes beyond the allowed. A browser that has no time to show a
// picture counts it as dropped; one without what a picture refers to asks for a keyframe, which is the sign of a broken stream.
func (s *school) judge(what string, a, b Seen, allowed float64) {
	const (
		spared = 3 // pictures that a busy machine may leave out
		pleas  = 2 // a new source and a late join may need one each
		coarse = 1 // the first keyframe of an encoder can be so coarse that its sum is read wrong, by both browsers alike
	)
	froze := b.FreezesDuration - a.FreezesDuration
	switch {
	case b.Wrong-a.Wrong > coarse:
		s.t.Errorf("%s: %d pictures that nobody drew", what, b.Wrong-a.Wrong)
	case b.Back > a.Back:
		s.t.Errorf("%s: the picture goes back %d times", what, b.Back-a.Back)
	case b.Error != "" || b.Time <= a.Time:
		s.t.Errorf("%s: the element says %q and stands at %.1f s", what, b.Error, b.Time)
	case b.FramesDropped-a.FramesDropped > spared:
		s.t.Errorf("%s: %d frames dropped", what, b.FramesDropped-a.FramesDropped)
	case b.PLICount-a.PLICount > pleas:
		s.t.Errorf("%s: %d requests for a keyframe", what, b.PLICount-a.PLICount)
	case froze > allowed:
		s.t.Errorf("%s: froze for %.1f s, allowed are %.1f s", what, froze, allowed)
	}
}

func (s *school) print() {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
	fmt.Fprintln(w, "codec\tstep\tbrowser\tstudent\tshown\tfirst ms\tgap ms\tdelay ms\twidth\twrong/back\tdecoded/dropped\tkeys\tfreezes\tPLI/NACK\tlost")
	for _, row := range s.table {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // a strings.Builder
	s.t.Logf("the matrix:\n%s", b.String())
}
