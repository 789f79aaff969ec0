package directory

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestKeysAreAgreedAndKeptSecret(t *testing.T) {
	c := newCluster("a", "b", "c")
	nodes := c.startAll(t)
	edge := c.start(t, "edge")
	leader(t, nodes)
	secret := bytes.Repeat([]byte("k"), keyBytes)
	if err := edge.SetKeys(soon(t), Keyring{Keys: [][]byte{secret}}); err != nil {
		t.Fatal(err)
	}
	ring := edge.Keys()
	if ring.Version == 0 || !bytes.Equal(ring.Keys[0], secret) {
		t.Fatalf("%+v", ring)
	}
	for _, n := range append(nodes, edge) {
		n.shows(t, "the keys", func() bool { return reflect.DeepEqual(n.Keys(), ring) })
	}
	if err := nodes[0].SetKeys(soon(t), Keyring{Keys: [][]byte{secret, secret}}); !errors.Is(err, ErrStaleKeys) {
		t.Fatalf("a change of what was changed meanwhile: %v", err)
	}
	next := ring
	next.Keys = [][]byte{bytes.Repeat([]byte("n"), keyBytes)}
	for range maxRetired + 1 {
		next.Retired = append(next.Retired, "old")
	}
	if err := nodes[1].SetKeys(soon(t), next); err != nil {
		t.Fatal(err)
	}
	edge.shows(t, "the next keys", func() bool { return edge.Keys().Version > ring.Version && len(edge.Keys().Retired) == maxRetired })
	for _, wrong := range []Keyring{{}, {Keys: [][]byte{{1}}}, {Keys: make([][]byte, maxKeys+1)}} {
		if err := nodes[1].SetKeys(soon(t), wrong); err == nil || errors.Is(err, ErrStaleKeys) {
			t.Errorf("%+v: %v", wrong, err)
		}
	}

	// After restarts, from the log and from the cache, which nobody else may read.
	want := edge.Keys()
	for _, n := range append(nodes, edge) { // while there is a majority
		n.shows(t, "the keys", func() bool { return reflect.DeepEqual(n.Keys(), want) })
	}
	for _, n := range append(nodes, edge) {
		if b := backup(t, n); bytes.Contains(b, []byte("bm5ubm5u")) {
			t.Error("the backup holds a key")
		}
		n.stop()
		info, err := os.Stat(filepath.Join(c.dirs[n.id], cacheFile))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%s: %v, %v", n.id, info, err)
		}
		d, err := New(c.config(t, n.id))
		if err != nil || !reflect.DeepEqual(d.Keys(), want) {
			t.Fatalf("after a restart %s has %+v, %v", n.id, d.Keys(), err)
		}
	}
	if err := os.Remove(filepath.Join(c.dirs["a"], cacheFile)); err != nil {
		t.Fatal(err)
	}
	a := c.start(t, "a")
	c.start(t, "b")
	a.shows(t, "the keys from the log", func() bool { return reflect.DeepEqual(a.Keys(), want) })
}
