package directory

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func backup(t *testing.T, n *node) []byte {
	t.Helper()
	var b bytes.Buffer
	if info, err := n.Backup(&b); err != nil || info.Rooms != len(n.Rooms()) {
		t.Fatalf("%+v, %v", info, err)
	}
	return b.Bytes()
}

func TestBackupBringsBackWhatIsMissing(t *testing.T) {
	c := newCluster("a")
	n := c.start(t, "a")
	var rooms []Room
	for i := range 2*roomsPerCommand + 1 {
		r, err := n.Open(soon(t), Room{Name: fmt.Sprintf("r%02d", i), Title: "T", Home: "a"})
		if err != nil {
			t.Fatal(err)
		}
		rooms = append(rooms, r)
	}
	kept := backup(t, n)
	for _, r := range rooms[1:] {
		if err := n.Close(soon(t), r.Name); err != nil {
			t.Fatal(err)
		}
	}
	moved, err := n.Claim(soon(t), rooms[0].Name, "b", rooms[0].Epoch)
	if err != nil {
		t.Fatal(err)
	}
	info, restored, err := n.Restore(soon(t), bytes.NewReader(kept))
	if err != nil || restored != len(rooms)-1 || info.Rooms != len(rooms) {
		t.Fatalf("%d of %+v, %v", restored, info, err)
	}
	want := append([]Room{moved}, rooms[1:]...)
	if got := n.Rooms(); !slices.Equal(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}

	// Into a new cluster, whose log is shorter than the epochs.
	fresh := newCluster("a", "b", "c")
	cfg := fresh.config(t, "b")
	if _, err := RestoreFolder(cfg, bytes.NewReader(kept)); err != nil {
		t.Fatal(err)
	}
	nodes := fresh.startAll(t)
	for _, n := range nodes {
		n.shows(t, "the rooms of the backup", func() bool { return slices.Equal(n.Rooms(), rooms) })
	}
	last := rooms[len(rooms)-1]
	claimed, err := nodes[0].Claim(soon(t), last.Name, "c", last.Epoch)
	if err != nil || claimed.Epoch <= last.Epoch {
		t.Fatalf("epoch %d after %d, %v", claimed.Epoch, last.Epoch, err)
	}
	nodes[1].shows(t, "no backup that waits", func() bool {
		_, err := os.Stat(filepath.Join(fresh.dirs["b"], restoreFile))
		return os.IsNotExist(err)
	})
	if _, err := RestoreFolder(cfg, bytes.NewReader(kept)); err == nil || !strings.Contains(err.Error(), "has a directory already") {
		t.Errorf("into a folder in use: %v", err)
	}
}

func TestDamagedBackupIsRefused(t *testing.T) {
	c := newCluster("a")
	n := c.start(t, "a")
	if _, err := n.Open(soon(t), Room{Name: "demo"}); err != nil {
		t.Fatal(err)
	}
	good := backup(t, n)
	flipped := bytes.Clone(good)
	flipped[len(flipped)-10] ^= 1
	for name, test := range map[string]struct {
		text []byte
		want string
	}{
		"cut off":       {good[:len(good)-1], "checksum"},
		"flipped":       {flipped, "checksum"},
		"empty":         {nil, "not a backup"},
		"something":     {[]byte("{}\n[]"), "not a backup"},
		"other cluster": {bytes.Replace(good, []byte(`"cluster":"demo"`), []byte(`"cluster":"campus"`), 1), `of cluster "campus", and this is cluster demo`},
	} {
		if _, _, err := n.Restore(soon(t), bytes.NewReader(test.text)); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzBackup(f *testing.F) {
	d := &Directory{cfg: Config{Cluster: "demo", Node: "a"}, view: newView(image{Rooms: []Room{{Name: "r", Opened: noon}}})}
	var b bytes.Buffer
	if _, err := d.Backup(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		_, rooms, err := readBackup(bytes.NewReader(b), "demo")
		for _, r := range rooms {
			if err == nil && r.check() != nil {
				t.Fatalf("a room that no command could have made: %+v", r)
			}
		}
	})
}

func TestOneSurvivorOfThreeBeginsAgain(t *testing.T) {
	c := newCluster("a", "b", "c")
	nodes := c.startAll(t)
	room, err := nodes[0].Open(soon(t), Room{Name: "demo", Home: "a"})
	if err != nil {
		t.Fatal(err)
	}
	nodes[2].showsRoom(t, room)
	nodes[2].shows(t, "a name", func() bool { return nodes[2].view.directory() != "" })
	old := nodes[2].view.directory()
	for _, n := range nodes {
		n.stop()
	}
	lost := c.dirs["a"]
	delete(c.dirs, "a")
	delete(c.dirs, "b")
	if _, err := Recover(c.config(t, "b"), []string{"b"}); err == nil || !strings.Contains(err.Error(), "no log of a directory to recover") {
		t.Errorf("an empty folder: %v", err)
	}
	got, err := Recover(c.config(t, "c"), []string{"c"})
	if err != nil || got.Rooms != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	survivor := c.start(t, "c")
	later, err := survivor.Claim(soon(t), "demo", "c", room.Epoch)
	if err != nil || later.Epoch <= room.Epoch {
		t.Fatalf("%+v, %v", later, err)
	}
	survivor.shows(t, "a new name", func() bool { n := survivor.view.directory(); return n != "" && n != old })

	// One comes back with nothing and is let in, one with its old log and is not.
	c.dirs["a"] = lost
	c.net.hear("a")
	c.net.hear("b")
	b := c.start(t, "b")
	b.shows(t, "the room and its vote", func() bool {
		r, _ := b.Room("demo")
		return r == later && slices.Equal(b.Status().Voters, []string{"b", "c"})
	})
	c.start(t, "a")
	survivor.shows(t, "why a is not let in", func() bool {
		list, _ := survivor.Servers(soon(t))
		return slices.ContainsFunc(list, func(s Server) bool { return s.ID == "a" && s.Problem == foreignText })
	})
}

// full makes a log of some commands and returns its folder.
func full(t *testing.T) (c *cluster, segment string) {
	t.Helper()
	c = newCluster("a")
	n := c.start(t, "a")
	for i := range 50 {
		if _, err := n.Open(soon(t), Room{Name: fmt.Sprintf("room-%02d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	n.shows(t, "its name", func() bool { return n.view.directory() != "" })
	n.stop()
	files, err := filepath.Glob(filepath.Join(c.dirs["a"], raftDir, "*.wal"))
	if err != nil || len(files) != 1 {
		t.Fatalf("segments %v, %v", files, err)
	}
	if _, err := New(c.config(t, "a")); err != nil {
		t.Fatal("the log is good:", err)
	}
	return c, files[0]
}

func TestDamagedLogIsRefusedWithWhatToDo(t *testing.T) {
	for name, damage := range map[string]func(b []byte) []byte{
		"a bit in the middle": func(b []byte) []byte { b[bytes.Index(b, []byte("room-20"))+5] ^= 2; return b },
		"a bit in the tail":   func(b []byte) []byte { b[bytes.LastIndex(b, []byte("room-49"))+5] ^= 2; return b },
		"the tail is missing": func(b []byte) []byte { return b[:bytes.Index(b, []byte("room-40"))] },
		"the tail is empty":   func(b []byte) []byte { clear(b[bytes.Index(b, []byte("room-40"))-40:]); return b },
		"nothing is left":     func(b []byte) []byte { clear(b); return b },
		"an empty file":       func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			c, segment := full(t)
			b, err := os.ReadFile(segment)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(segment, damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			d, err := New(c.config(t, "a"))
			if err == nil {
				t.Fatalf("started with %d rooms", len(d.Rooms()))
			}
			t.Log(err)
			for _, want := range []string{"is damaged", c.dirs["a"], "start with an empty folder", "OPERATIONS.md"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
		})
	}
}

func TestSealShowsEveryTurnedBit(t *testing.T) {
	c := command{Client: "c", Seq: 1, Op: opClaim, Room: "algebra", Node: "fra", Previous: 7, Opened: noon}
	b, err := c.encode()
	if err != nil {
		t.Fatal(err)
	}
	mark := bytes.LastIndex(b, []byte(sealMark))
	for i := range mark * 8 {
		turned := bytes.Clone(b)
		turned[i/8] ^= 1 << (i % 8)
		if _, err := decodeCommand(turned); err == nil {
			t.Fatalf("bit %d was turned: %s", i, turned)
		}
	}
}
