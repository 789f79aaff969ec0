package up

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lyceum/cmd/node"
)

func TestGossipKeyIsChangedWhileAllRun(t *testing.T) {
	m := Start(t)
	admin := m.Nodes[0].Admin
	var list node.KeyList
	keys := func(i int) node.KeyList {
		t.Helper()
		list = node.KeyList{}
		Get(t, m.Nodes[i].Admin+"/v1/keys", &list)
		return list
	}
	old := keys(0).Keys[0].ID
	if list.Agreed || list.File != old {
		t.Fatalf("%+v", list)
	}
	file := filepath.Join(t.TempDir(), "next.key")
	run(t, "keys", "add", file, "--admin", admin)
	fails(t, "is understood already", "keys", "add", file, "--admin", admin)
	var next string
	for i := range m.Nodes {
		Eventually(t, 10*time.Second, func() string {
			if keys(i); len(list.Keys) != 2 || len(list.Keys[1].Missing) > 0 {
				return fmt.Sprintf("%+v", list)
			}
			next = list.Keys[1].ID
			return ""
		})
	}
	fails(t, "there is no key", "keys", "use", "abcdef", "--admin", admin)
	run(t, "keys", "use", next, "--admin", m.Nodes[1].Admin)
	fails(t, "is the one that is used", "keys", "remove", next, "--admin", m.Nodes[1].Admin)
	Eventually(t, 10*time.Second, func() string {
		out, err := Command(t, "keys", "remove", old, "--admin", m.Nodes[2].Admin).CombinedOutput()
		if err != nil {
			return string(out)
		}
		return ""
	})
	for i := range m.Nodes {
		Eventually(t, 10*time.Second, func() string {
			if keys(i); len(list.Keys) != 1 || list.Keys[0].ID != next || len(list.Keys[0].Missing) > 0 {
				return fmt.Sprintf("%+v", list)
			}
			return ""
		})
	}
	if out := run(t, "keys", "list", "--admin", admin); !strings.Contains(out, "still has key "+old) {
		t.Errorf("the list said:\n%s", out)
	}

	// A node that restarts has the old key in its file, and the new one in its cache.
	m.Kill(t, 0)
	gone(t, m, 0)
	Eventually(t, 30*time.Second, func() string {
		var l node.NodeList
		if Get(t, m.Nodes[1].Admin+"/v1/nodes", &l); l.Nodes[0].Alive {
			return "the killed node is alive to the others"
		}
		return ""
	})
	serve(t, m, 0)
	allAlive(t, m)
	// One that comes with nothing needs the new key in its file.
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.Data, "pki", "gossip.key"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	m.Kill(t, 2)
	gone(t, m, 2)
	data := filepath.Join(m.Data, "data", m.Nodes[2].ID)
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	serve(t, m, 2)
	allAlive(t, m)
	for _, n := range m.Nodes {
		log, err := os.ReadFile(n.Log)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(log), strings.TrimSpace(string(text))) {
			t.Errorf("the log of %s holds the key", n.ID)
		}
	}
}

// allAlive waits until every node hears every other one.
func allAlive(t *testing.T, m *Mesh) {
	t.Helper()
	for _, n := range m.Nodes {
		Eventually(t, 40*time.Second, func() string {
			out, err := Command(t, "nodes", "--admin", n.Admin).CombinedOutput()
			if err != nil {
				return string(out)
			}
			var l node.NodeList
			Get(t, n.Admin+"/v1/nodes", &l)
			alive := 0
			for _, o := range l.Nodes {
				if o.Alive && o.Votes {
					alive++
				}
			}
			if alive != len(m.Nodes) {
				return n.ID + " sees:\n" + string(out)
			}
			return ""
		})
	}
}
