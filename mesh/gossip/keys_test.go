package gossip

import (
	"bytes"
	"testing"
)

func TestKeysChangeWithoutAGap(t *testing.T) {
	next := bytes.Repeat([]byte{8}, 32)
	a := start(t, config("a"))
	b := start(t, config("b", a.Addr().String()))
	both := []*node{a, b}
	for _, n := range both {
		n.sees(t, "two nodes", alive(2))
	}
	for _, keys := range [][][]byte{{key, next}, {next, key}, {next}} {
		for _, n := range both {
			if err := n.SetKeys(keys); err != nil {
				t.Fatal(err)
			}
		}
		a.load.Store(&Load{Sessions: len(keys) + a.load.Load().Sessions})
		b.sees(t, "the load of a", func(members []Member) bool { return members[0].Load == *a.load.Load() })
	}
	if keys := b.Keys(); len(keys) != 1 || !bytes.Equal(keys[0], next) {
		t.Fatalf("%v", keys)
	}
	// Who has the old key only is not heard.
	c := start(t, config("c", a.Addr().String()))
	d := config("d", a.Addr().String())
	d.Key = next
	start(t, d).sees(t, "three nodes", alive(3))
	if err := a.SetKeys(nil); err == nil {
		t.Error("no keys at all")
	}
	if n := len(c.Members()); n != 1 {
		t.Errorf("with the old key c sees %d nodes", n)
	}
}
