package directory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/raft"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestMachineDecides(t *testing.T) {
	m := newMachine()
	seq := uint64(0)
	for i, step := range []struct {
		name    string
		index   uint64
		command command
		want    result
	}{
		{"open", 3, command{Op: opOpen, Room: "r", Title: "R", Opened: noon}, result{Room: Room{Name: "r", Title: "R", Opened: noon}}},
		{"open again", 4, command{Op: opOpen, Room: "r", Opened: noon}, result{Code: codeExists, Room: Room{Name: "r", Title: "R", Opened: noon}}},
		{"claim", 7, command{Op: opClaim, Room: "r", Node: "a"}, result{Room: Room{Name: "r", Title: "R", Opened: noon, Home: "a", Epoch: 7}}},
		{
			"claim too late", 8,
			command{Op: opClaim, Room: "r", Node: "b"},
			result{Code: codeStale, Room: Room{Name: "r", Title: "R", Opened: noon, Home: "a", Epoch: 7}},
		},
		{"claim of none", 9, command{Op: opClaim, Room: "x", Node: "b"}, result{Code: codeUnknown}},
		{"take over", 12, command{Op: opClaim, Room: "r", Node: "b", Previous: 7}, result{Room: Room{Name: "r", Title: "R", Opened: noon, Home: "b", Epoch: 12}}},
		{
			"release by the one before", 13,
			command{Op: opRelease, Room: "r", Previous: 7},
			result{Code: codeStale, Room: Room{Name: "r", Title: "R", Opened: noon, Home: "b", Epoch: 12}},
		},
		{"release", 14, command{Op: opRelease, Room: "r", Previous: 12}, result{Room: Room{Name: "r", Title: "R", Opened: noon, Epoch: 12}}},
		{"claim what was released", 15, command{Op: opClaim, Room: "r", Node: "a", Previous: 12}, result{Room: Room{Name: "r", Title: "R", Opened: noon, Home: "a", Epoch: 15}}},
		{"open with a home", 16, command{Op: opOpen, Room: "s", Node: "b", Opened: noon}, result{Room: Room{Name: "s", Opened: noon, Home: "b", Epoch: 16}}},
		{"close", 17, command{Op: opClose, Room: "r"}, result{Room: Room{Name: "r", Title: "R", Opened: noon, Home: "a", Epoch: 15}}},
		{"close again", 18, command{Op: opClose, Room: "r"}, result{Code: codeUnknown}},
	} {
		seq++
		c := step.command
		c.Client, c.Seq = "c", seq
		if err := c.check(); err != nil {
			t.Fatalf("%d %s: %v", i, step.name, err)
		}
		step.want.Index = step.index
		got := m.apply(step.index, &c)
		if got != step.want {
			t.Fatalf("%d %s: got %+v, want %+v", i, step.name, got, step.want)
		}
		if again := m.apply(step.index+100, &c); again != got {
			t.Fatalf("%d %s: repeated, it gave %+v", i, step.name, again)
		}
	}
	old := command{Client: "c", Seq: 1, Op: opOpen, Room: "z"}
	if r := m.apply(200, &old); r.Code != codeSuperseded {
		t.Fatalf("an old command gave %+v", r)
	}
	if len(m.rooms) != 1 || m.index != 200 {
		t.Fatalf("%+v", m)
	}
}

func TestMachineIsBounded(t *testing.T) {
	m := newMachine()
	for i := range maxRooms + 1 {
		c := command{Client: fmt.Sprint(i), Seq: 1, Op: opOpen, Room: fmt.Sprint(i)}
		want := code("")
		if i == maxRooms {
			want = codeFull
		}
		// A full table of clients is searched for each new one, which would take the whole of this test.
		if i > maxSessions+10 && i < maxRooms {
			m.rooms[c.Room] = Room{Name: c.Room}
			continue
		}
		if r := m.apply(uint64(i+1), &c); r.Code != want {
			t.Fatalf("room %d: %+v", i, r)
		}
	}
	if len(m.sessions) != maxSessions {
		t.Fatalf("%d clients", len(m.sessions))
	}
	if _, known := m.sessions["0"]; known {
		t.Fatal("the oldest client is still there")
	}
}

func TestVotersComeToTheSameState(t *testing.T) {
	var logs []*raft.Log
	seq := map[string]uint64{}
	for i := range uint64(500) {
		client := fmt.Sprint("c", i%7)
		if i%5 != 0 {
			seq[client]++
		}
		c := command{
			Client: client, Seq: max(1, seq[client]), Room: fmt.Sprint("r", i%11), Node: fmt.Sprint("n", i%3), Previous: i / 2,
			Op: []op{opOpen, opClaim, opRelease, opClose, opClaim}[i%5], Opened: noon,
		}
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, &raft.Log{Index: 2 + 2*i, Data: b})
	}
	logs = append(logs, &raft.Log{Index: 2000, Data: []byte("{")})
	voter := func() *fsm {
		return &fsm{view: newView(image{}), log: slog.New(slog.DiscardHandler), machine: newMachine()}
	}
	a, b := voter(), voter()
	for i, l := range logs {
		want := a.Apply(l)
		if got := b.Apply(l); got != want {
			t.Fatalf("entry %d: %+v and %+v", i, want, got)
		}
		if i%100 == 50 { // b goes on from a snapshot
			snap, err := b.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			var kept buffer
			if err := snap.Persist(&kept); err != nil {
				t.Fatal(err)
			}
			b = voter()
			if err := b.Restore(io.NopCloser(&kept)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !reflect.DeepEqual(a.machine.image(), b.machine.image()) {
		t.Fatalf("%+v and %+v", a.machine.image(), b.machine.image())
	}
	if !reflect.DeepEqual(a.view.image(), b.view.image()) || !reflect.DeepEqual(a.view.image().Rooms, a.machine.image().Rooms) {
		t.Fatalf("views %+v and %+v", a.view.image(), b.view.image())
	}
}

type buffer struct{ bytes.Buffer }

func (*buffer) ID() string    { return "" }
func (*buffer) Cancel() error { return nil }
func (*buffer) Close() error  { return nil }

// After a restart Raft gives the past again. What the cache has is newer, and stays until Raft has come as far.
func TestCacheIsNotReplacedByThePast(t *testing.T) {
	cache := image{Index: 6, Rooms: []Room{{Name: "r", Home: "b", Epoch: 6}, {Name: "s"}}}
	f := &fsm{view: newView(cache), log: slog.New(slog.DiscardHandler), machine: newMachine()}
	apply := func(index uint64, c command) {
		c.Client, c.Seq = "c", index
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		f.Apply(&raft.Log{Index: index, Data: b})
	}
	apply(4, command{Op: opOpen, Room: "r"})
	apply(5, command{Op: opClaim, Room: "r", Node: "a"})
	if got := f.view.image().Rooms; !reflect.DeepEqual(got, cache.Rooms) {
		t.Fatalf("the past shows: %+v", got)
	}
	changed := f.view.wait()
	apply(6, command{Op: opClaim, Room: "r", Node: "b", Previous: 5})
	select {
	case <-changed:
	default:
		t.Fatal("nobody was told")
	}
	if got := f.view.image().Rooms; len(got) != 1 || got[0].Home != "b" || got[0].Epoch != 6 {
		t.Fatalf("%+v", got)
	}
}

func TestWatcherIsGivenWhatItMissed(t *testing.T) {
	v := newView(image{Index: 10, Rooms: []Room{{Name: "old"}}})
	if u := v.since(9); !u.Full || len(u.Set) != 1 {
		t.Fatalf("before the view: %+v", u)
	}
	if u := v.since(10); u.Full || u.Index != 10 || len(u.Set)+len(u.Gone) != 0 {
		t.Fatalf("nothing new: %+v", u)
	}
	if u := v.since(99); u.Full || u.Index != 99 {
		t.Fatalf("ahead of the view: %+v", u)
	}
	v.merge(update{Index: 11, Set: []Room{{Name: "a"}}})
	v.merge(update{Index: 12, Set: []Room{{Name: "a", Home: "x"}}})
	v.merge(update{Index: 13, Gone: []string{"old"}})
	want := update{Index: 13, Set: []Room{{Name: "a", Home: "x"}}, Gone: []string{"old"}}
	if u := v.since(10); !reflect.DeepEqual(u, want) {
		t.Fatalf("%+v", u)
	}
	if u := v.since(12); u.Index != 13 || len(u.Set) != 0 || len(u.Gone) != 1 {
		t.Fatalf("%+v", u)
	}
	for i := range uint64(recent) {
		v.merge(update{Index: 14 + i, Set: []Room{{Name: "a"}}})
	}
	if u := v.since(13); u.Full || len(u.Set) != 1 {
		t.Fatalf("the view remembers as much: %+v", u)
	}
	if u := v.since(12); !u.Full {
		t.Fatalf("too far behind: %+v", u)
	}
	v.merge(update{Index: 5, Full: true})
	if n, _ := v.size(); n != 1 {
		t.Fatal("the past was taken for news")
	}
}

func TestEveryMessageFitsItsFrame(t *testing.T) {
	worst := func(n int) string { return strings.Repeat("\x01", n) }
	u := update{Index: 1<<64 - 1}
	for range 3*roomsPerFrame + 1 {
		u.Set = append(u.Set, Room{Name: worst(maxName), Title: worst(maxTitle), Home: worst(maxNode), Epoch: 1<<64 - 1, Opened: time.Now()})
		u.Gone = append(u.Gone, worst(maxName))
	}
	var got update
	messages := split(u, worst(maxNode), nil)
	for i, n := range messages {
		var b bytes.Buffer
		if err := writeFrame(&b, n); err != nil {
			t.Fatal(err)
		}
		var back news
		if err := readFrame(&b, &back); err != nil {
			t.Fatal(err)
		}
		if back.More != (i < len(messages)-1) {
			t.Fatalf("message %d of %d: more is %v", i, len(messages), back.More)
		}
		got.Set, got.Gone = append(got.Set, back.Set...), append(got.Gone, back.Gone...)
	}
	if len(got.Set) != len(u.Set) || !reflect.DeepEqual(got.Gone, u.Gone) {
		t.Fatalf("%d and %d of %d arrived", len(got.Set), len(got.Gone), len(u.Set))
	}
	if len(split(update{}, "", nil)) != 1 {
		t.Fatal("an empty update is a message too")
	}
	if err := readFrame(strings.NewReader("\xff\xff\xff\xff"), &request{}); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Fatalf("a huge frame gave %v", err)
	}
}

func TestStaleErrorTellsWhoIsRight(t *testing.T) {
	err := error(&StaleError{Current: Room{Home: "sin-1", Epoch: 9}})
	if !errors.Is(err, ErrStale) || !strings.HasSuffix(err.Error(), "it is at sin-1, epoch 9") {
		t.Fatal(err)
	}
}

func FuzzCommand(f *testing.F) {
	f.Add([]byte(`{"client":"c","seq":1,"op":"open","room":"r","title":"T","opened":"2026-03-01T12:00:00Z"}`))
	f.Add([]byte(`{"client":"c","seq":2,"op":"claim","room":"r","node":"a","previous":7}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeCommand(b)
		if err != nil {
			return
		}
		again, err := c.encode()
		if err != nil {
			t.Fatalf("%+v cannot be encoded: %v", c, err)
		}
		if back, err := decodeCommand(again); err != nil || back.Room != c.Room || !back.Opened.Equal(c.Opened) {
			t.Fatalf("%+v became %+v, %v", c, back, err)
		}
		m := newMachine()
		if r := m.apply(1, &c); !utf8.ValidString(r.Room.Title) || len(m.rooms) > 1 {
			t.Fatalf("%+v", r)
		}
	})
}

func FuzzFrame(f *testing.F) {
	var b bytes.Buffer
	_ = writeFrame(&b, request{Watch: &watch{After: 3}})
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		var rq request
		var n news
		_ = readFrame(bytes.NewReader(b), &rq)
		_ = readFrame(bytes.NewReader(b), &n)
		if rq.Do != nil && rq.Do.check() == nil {
			newMachine().apply(1, rq.Do)
		}
	})
}
