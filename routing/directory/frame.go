package directory

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"time"
)

// maxFrame bounds a message between nodes.
const maxFrame = 64 << 10

// roomsPerFrame keeps a message within maxFrame however much of its texts JSON escapes.
const roomsPerFrame = maxFrame/roomBytes - 2

// request is the first message on a stream.
type request struct {
	// Do is a command for the leader; it is answered by one reply.
	Do *command `json:"do,omitempty"`
	// Watch asks for what happens after an index; it is answered by news without end.
	Watch *watch `json:"watch,omitempty"`
	// Sync asks the leader for an index that is no earlier than anything decided before.
	Sync bool `json:"sync,omitempty"`
	// Remove asks the leader to do without a node that is gone.
	Remove string `json:"remove,omitempty"`
	// Servers asks the leader for the nodes that take part.
	Servers bool `json:"servers,omitempty"`
	// Meet asks a node how it stands, and perhaps to found a directory together.
	Meet *meeting `json:"meet,omitempty"`
}

type watch struct {
	After uint64 `json:"after"`
}

type reply struct {
	Result *result `json:"result,omitempty"`
	// Leader is whom to ask instead, if there is no result.
	Leader string `json:"leader,omitempty"`
	// Error says why there is no answer. Somebody else, or the same node later, may have one.
	Error string `json:"error,omitempty"`
	// Refused is the leader's decision against what was asked.
	Refused string   `json:"refused,omitempty"`
	Index   uint64   `json:"index,omitempty"`   // of Sync
	Servers []Server `json:"servers,omitempty"` // of Servers
	Stand   *stand   `json:"stand,omitempty"`   // of Meet
}

// news is one message of a watch. It is sent at least once a second.
type news struct {
	update
	// More means that the next message continues this one, and that only together they are complete.
	More   bool   `json:"more,omitempty"`
	Leader string `json:"leader,omitempty"`
	// Voters are those who vote, as far as the voter that tells it knows.
	Voters []string `json:"voters,omitempty"`
}

// writeFrame writes a message: four bytes of length, big-endian, and JSON.
func writeFrame(w io.Writer, message any) error {
	b, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	if len(b) > maxFrame {
		return fmt.Errorf("a message of %d bytes is too long", len(b))
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(b)), uint32(len(b))), b...))
	return err
}

func readFrame(r io.Reader, message any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxFrame {
		return fmt.Errorf("a message of %d bytes is too long", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	if err := json.Unmarshal(b, message); err != nil {
		return fmt.Errorf("read a message: %w", err)
	}
	return nil
}

// within gives the next messages of a stream a time, which ends at once when ctx is done. A stream of QUIC must not be
// closed under a writer, but its deadline may be moved.
func within(ctx context.Context, conn net.Conn, d time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	if ctx.Err() != nil {
		interrupt(conn)
	}
	return ctx.Err()
}

// interrupt ends reading and writing of a stream.
func interrupt(conn net.Conn) { _ = conn.SetDeadline(time.Unix(1, 0)) }

// split cuts an update into messages of bounded length.
func split(u update, leader string, voters []string) []news {
	var list []news
	set, gone := u.Set, u.Gone
	for first := true; first || len(set)+len(gone) > 0; first = false {
		n := news{update: update{Index: u.Index, Full: u.Full, Directory: u.Directory, Keys: u.Keys}, Leader: leader, Voters: voters}
		k := min(len(set), roomsPerFrame)
		n.Set, set = set[:k], set[k:]
		k = min(len(gone), roomsPerFrame-k)
		n.Gone, gone = gone[:k], gone[k:]
		n.More = len(set)+len(gone) > 0
		list = append(list, n)
	}
	return list
}
