package directory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"
)

type op string

const (
	opOpen    op = "open"
	opClaim   op = "claim"
	opRelease op = "release"
	opClose   op = "close"
	// opFound names the directory, so that it is not mixed up with another one.
	opFound op = "found"
	// opRestore brings back the rooms of a backup that are not there.
	opRestore op = "restore"
	// opKeys replaces the keyring.
	opKeys op = "keys"
)

// command is an entry of Raft's log.
type command struct {
	// Client and Seq identify the command however often it is sent: a client counts its commands, one after another.
	Client string `json:"client"`
	Seq    uint64 `json:"seq"`
	Op     op     `json:"op"`
	Room   string `json:"room"`
	// Title and Opened are of opOpen.
	Title  string    `json:"title,omitempty"`
	Opened time.Time `json:"opened,omitzero"`
	// Node is the home of opClaim, and of opOpen if it claims at once.
	Node string `json:"node,omitempty"`
	// Previous is the epoch that opClaim and opRelease build upon.
	Previous uint64 `json:"previous,omitempty"`
	// Directory is the name of opFound.
	Directory string `json:"directory,omitempty"`
	// Rooms are those of opRestore, at most roomsPerCommand.
	Rooms []Room `json:"rooms,omitempty"`
	// Keys is the ring of opKeys, in place of that whose version is Previous.
	Keys *Keyring `json:"keys,omitempty"`
}

// roomsPerCommand keeps a restoring command within maxCommand.
const roomsPerCommand = 20

// maxCommand is more than a command within the bounds of check needs, and fits a message between nodes.
const maxCommand = 48 << 10

func (c *command) check() error {
	room := 1
	if c.Op == opFound || c.Op == opRestore || c.Op == opKeys {
		room = 0
	}
	if len(c.Rooms) > roomsPerCommand {
		return fmt.Errorf("a command with %d rooms is too long", len(c.Rooms))
	}
	for _, r := range c.Rooms {
		if err := r.check(); err != nil {
			return err
		}
	}
	for _, err := range []error{
		checkText("client", c.Client, 1, maxNode),
		checkText("room", c.Room, room, maxName),
		checkText("name of a directory", c.Directory, 0, maxNode),
		checkText("title", c.Title, 0, maxTitle),
		checkText("node", c.Node, 0, maxNode),
	} {
		if err != nil {
			return err
		}
	}
	if err := checkYear(c.Opened); err != nil {
		return err
	}
	if (c.Op == opKeys) != (c.Keys != nil) {
		return errors.New("keys come with the command to replace them, and with no other")
	}
	if c.Keys != nil {
		if err := c.Keys.check(); err != nil {
			return err
		}
	}
	switch {
	case c.Seq == 0:
		return errors.New("commands are counted from 1")
	case c.Op == opClaim && c.Node == "":
		return errors.New("a claim needs a node")
	case c.Op != opOpen && c.Op != opClaim && c.Op != opRelease && c.Op != opClose && c.Op != opFound && c.Op != opRestore && c.Op != opKeys:
		return fmt.Errorf("there is no command %.20q", string(c.Op))
	}
	return nil
}

func (c *command) encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode a command: %w", err)
	}
	return seal(b), nil
}

// sealMark begins the last field of an encoded command, a checksum of all before it: the log does not notice a bit that its
// disk has turned. It is of the bytes, so that fields of newer versions do not matter.
const sealMark = `,"sum":`

func seal(b []byte) []byte {
	b = b[:len(b)-1]
	return append(strconv.AppendUint(append(b, sealMark...), uint64(checksum(b)), 10), '}')
}

// sealBroken tells whether an encoded command is not what was sealed. One of a version without seals is never broken.
func sealBroken(b []byte) bool {
	i := bytes.LastIndex(b, []byte(sealMark))
	if i < 0 {
		return false
	}
	sum, err := strconv.ParseUint(string(bytes.TrimSuffix(b[i+len(sealMark):], []byte("}"))), 10, 32)
	return err != nil || uint32(sum) != checksum(b[:i])
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func decodeCommand(b []byte) (c command, err error) {
	if len(b) > maxCommand {
		return command{}, fmt.Errorf("a command of %d bytes is too long", len(b))
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return command{}, fmt.Errorf("read a command: %w", err)
	}
	if sealBroken(b) {
		return command{}, errors.New("a command is not what was sealed")
	}
	return c, c.check()
}

// result is what the machine answers to a command.
type result struct {
	// Code is "" or why the command was refused.
	Code code `json:"code,omitempty"`
	// Room is the room afterwards; for a refusal, as it stands.
	Room Room `json:"room,omitzero"`
	// Index is that of the command in the log: whoever has applied so much sees the effect.
	Index uint64 `json:"index"`
	// Restored is how many rooms opRestore brought back.
	Restored int `json:"restored,omitempty"`
}

type code string

const (
	codeExists  code = "exists"
	codeUnknown code = "unknown"
	codeStale   code = "stale"
	codeFull    code = "full"
	// codeInvalid is a command that this version of the machine does not understand.
	codeInvalid code = "invalid"
	// codeSuperseded is a repeated command whose client has since had another one answered.
	codeSuperseded code = "superseded"
)

func (r *result) err() error {
	switch r.Code {
	case "":
		return nil
	case codeExists:
		return ErrExists
	case codeUnknown:
		return ErrUnknownRoom
	case codeStale:
		return &StaleError{Current: r.Room}
	case codeFull:
		return ErrFull
	default:
		return fmt.Errorf("the directory answered %.20q", string(r.Code))
	}
}
