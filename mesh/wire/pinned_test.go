package wire

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"lyceum/mesh/media"
)

// pinned is what testdata/versionN.txt has: for each version, all that it can say, as a name and the bytes in hex. The
// files of versions that were released are never changed.
type pinned struct {
	name  string
	bytes []byte
}

func readPinned(t testing.TB, version int) (list []pinned) {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("testdata/version%d.txt", version))
	if err != nil {
		t.Fatalf("%v: pin what version %d says, as doc.go tells", err, version)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), " ")
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatalf("%s of version %d: %v", name, version, err)
		}
		list = append(list, pinned{name, b})
	}
	return list
}

// saidIn is everyMessage as a version says it, by the names of its file. What a version does not know, it leaves out.
func saidIn(version int) map[string]Message {
	all, count := map[string]Message{}, map[string]int{}
	for _, m := range everyMessage() {
		name := strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", m), "*wire."))
		if count[name]++; count[name] > 1 {
			name += fmt.Sprint("-", count[name])
		}
		if version < 2 {
			switch m := m.(type) {
			case *Subscribe:
				m.Track.Origin = ""
			case *Accepted:
				m.State.Births = [media.MaxLayers]media.Clock{}
			case *State:
				m.State.Births = [media.MaxLayers]media.Clock{}
			case *Report:
				m.Birth = media.Clock{}
			}
		}
		all[name] = m
	}
	return all
}

// shardsIn are the shards of a version, as it says them.
func shardsIn(version int) map[string][]byte {
	if version < 2 {
		return map[string][]byte{}
	}
	return map[string][]byte{
		"shard":  AppendShard(nil, 1<<31+7, 63, []byte("a chunk")),
		"parity": AppendParity(nil, &Parity{Block: 1<<31 + 7, Chunks: 64, Index: 2, Bytes: []byte("parity")}),
	}
}

// pinnedChunks are the same in all versions.
func pinnedChunks() map[string][]media.Packet {
	video := frame()
	for i := range video {
		video[i].Payload = []byte{byte(i), 0xaa}
	}
	return map[string][]media.Packet{
		"chunk": video,
		"audio": {{
			Source: 7, Number: 1 << 40, Frame: 1 << 39, Timestamp: 960, Captured: 1_790_000_000_123_456,
			Flags: media.First | media.Last, Payload: []byte("sound"),
		}},
	}
}

func TestEachVersionIsReadAndSaidAsItWasReleased(t *testing.T) {
	for version := Oldest; version <= Version; version++ {
		messages, chunks, shards := saidIn(version), pinnedChunks(), shardsIn(version)
		heartbeat := Heartbeat{Sent: 1_790_000_000_000_000, Echo: -5, Came: 7}
		if version > 1 {
			heartbeat.Heard = 9
		}
		for _, p := range readPinned(t, version) {
			where := fmt.Sprintf("%s of version %d", p.name, version)
			if want, ok := messages[p.name]; ok {
				delete(messages, p.name)
				got, err := NewReader(bytes.NewReader(p.bytes)).Next()
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%s is read as %+v, %v\nwant %+v", where, got, err, want)
				}
				// A body may have grown at its end, which older nodes pass over; its beginning may not change.
				now := AppendMessage(nil, want)
				if !bytes.HasPrefix(want.appendBody(nil), body(p.bytes)) || version == Version && !bytes.Equal(now, p.bytes) {
					t.Errorf("%s is said as %x\nwant %x", where, now, p.bytes)
				}
				continue
			}
			if want, ok := chunks[p.name]; ok {
				delete(chunks, p.name)
				sub, got, err := unpack(p.bytes)
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%s is read as %+v, %v", where, got, err)
				}
				if now := pack(nil, sub, want); !bytes.Equal(now, p.bytes) {
					t.Errorf("%s is said as %x\nwant %x", where, now, p.bytes)
				}
				continue
			}
			if now, ok := shards[p.name]; ok {
				delete(shards, p.name)
				if !bytes.Equal(now, p.bytes) {
					t.Errorf("%s is said as %x\nwant %x", where, now, p.bytes)
				}
				continue
			}
			if p.name != "heartbeat" {
				t.Errorf("%s: nobody knows what it is", where)
			} else if got, err := ParseHeartbeat(p.bytes); err != nil || got != heartbeat {
				t.Errorf("%s is read as %+v, %v", where, got, err)
			} else if now := AppendHeartbeat(nil, heartbeat); !bytes.HasPrefix(now, p.bytes) || version == Version && !bytes.Equal(now, p.bytes) {
				t.Errorf("%s is said as %x\nwant %x", where, now, p.bytes)
			}
		}
		for name := range chunks {
			t.Errorf("%s is not pinned in version %d", name, version)
		}
		for name, b := range shards {
			t.Errorf("not pinned in version %d: %s %x", version, name, b)
		}
		for name, m := range messages {
			t.Errorf("not pinned in version %d: %s %x", version, name, AppendMessage(nil, m))
		}
	}
}

// body is what a message carries, without its kind and its length.
func body(b []byte) []byte {
	c := cursor{b: b}
	c.uvarint()
	c.uvarint()
	return c.b
}
