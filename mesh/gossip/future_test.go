package gossip

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// What release 0.1.0 says of a member, in hex. Every later one must read it, and begin what it says itself with it.
const (
	firstMeta = "010b01ded9e304e9fd69fbd8c1a28c340464656d6f0265750676302e312e301e68747470733a2f2f6672612d312e6578616d706c652e6f7267" +
		"3a383434330e3139322e302e322e313a37303030"
	firstNews = "0101056672612d318080808080808080100700" + "64"
)

func TestWhatTheFirstReleaseSaysIsRead(t *testing.T) {
	meta, err := hex.DecodeString(firstMeta)
	if err != nil {
		t.Fatal(err)
	}
	want := somebody()
	got, err := parseMeta(meta)
	if got.ID = want.ID; err != nil || got != want {
		t.Errorf("a member is read as %+v, %v", got, err)
	}
	if b := appendMeta(nil, &want); !bytes.HasPrefix(b, meta) {
		t.Errorf("a member is said as %x", b)
	}
	said, err := hex.DecodeString(firstNews)
	if err != nil {
		t.Fatal(err)
	}
	heard := news{id: "fra-1", boot: 1 << 60, number: 7, leaving: true, load: Load{Sessions: 0, Limit: 100}}
	if n, err := parseNews(said); err != nil || n != heard {
		t.Errorf("news are read as %+v, %v", n, err)
	}
	if b := appendNews(nil, &heard); !bytes.HasPrefix(b, said) {
		t.Errorf("news are said as %x", b)
	}
}

func TestWhatTheNextReleaseAddsIsPassedOver(t *testing.T) {
	m := somebody()
	if got, err := parseMeta(append(appendMeta(nil, &m), "more"...)); err != nil || got.URL != m.URL {
		t.Errorf("a member is read as %+v, %v", got, err)
	}
	want := news{id: "fra-1", boot: 5, number: 7, load: Load{Sessions: 3, Limit: 100}}
	if n, err := parseNews(append(appendNews(nil, &want), "more"...)); err != nil || n != want {
		t.Errorf("news are read as %+v, %v", n, err)
	}
}

func TestStateOfTheNextReleaseIsReadAsFarAsItIsKnown(t *testing.T) {
	g, err := New(config("fra-1"))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	g.mu.Lock()
	g.members["sin-1"] = &entry{Member: Member{ID: "sin-1", Boot: 5}}
	g.mu.Unlock()
	message := func(b []byte) []byte { return append(binary.AppendUvarint(nil, uint64(len(b))), b...) }
	known := appendNews(nil, &news{id: "sin-1", boot: 5, number: 7, load: Load{Sessions: 3, Limit: 100}})
	state := append(message(append(known, "more"...)), message([]byte{200, 1, 2})...)
	delegate{g}.MergeRemoteState(state, false)
	delegate{g}.NotifyMsg([]byte{200, 1, 2}) // a message of a kind that nobody knows
	if m, _ := g.Member("sin-1"); m.Load.Sessions != 3 {
		t.Errorf("the member is %+v", m)
	}
	if n := testutil.ToFloat64(g.metrics.malformed); n != 2 {
		t.Errorf("%v messages were counted as not understood", n)
	}
}
