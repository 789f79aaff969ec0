package directory

import (
	"encoding/json"
	"errors"
	"fmt"
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
}

// maxCommand is far more than a command within the bounds of check needs.
const maxCommand = 4 << 10

func (c *command) check() error {
	room := 1
	if c.Op == opFound {
		room = 0
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
	if y := c.Opened.Year(); y < 0 || y > 9999 {
		return errors.New("the time of opening is not in a year from 0 to 9999")
	}
	switch {
	case c.Seq == 0:
		return errors.New("commands are counted from 1")
	case c.Op == opClaim && c.Node == "":
		return errors.New("a claim needs a node")
	case c.Op != opOpen && c.Op != opClaim && c.Op != opRelease && c.Op != opClose && c.Op != opFound:
		return fmt.Errorf("there is no command %.20q", string(c.Op))
	}
	return nil
}

func (c *command) encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return json.Marshal(c)
}

func decodeCommand(b []byte) (c command, err error) {
	if len(b) > maxCommand {
		return command{}, fmt.Errorf("a command of %d bytes is too long", len(b))
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return command{}, fmt.Errorf("read a command: %w", err)
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
