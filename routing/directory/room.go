package directory

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Errors of commands. They are the directory's decision, and trying again does not change it, but for ErrUnavailable.
var (
	ErrExists      = errors.New("the room exists already")
	ErrUnknownRoom = errors.New("there is no such room")
	ErrStale       = errors.New("the room has changed hands meanwhile")
	ErrFull        = errors.New("there are as many rooms as a cluster may have")
	// ErrStaleKeys means that somebody else has changed the keyring meanwhile.
	ErrStaleKeys = errors.New("the keys were changed by somebody else meanwhile; look at them again")
	// ErrRefused means that the leader will not do what was asked, and says why.
	ErrRefused = errors.New("the directory refuses")
	// ErrUnavailable means that nobody decided: the voters could not be reached or have no majority.
	ErrUnavailable = errors.New("the directory has no leader that can be reached")
)

// StaleError is an ErrStale that tells who has the room now.
type StaleError struct{ Current Room }

// Error says who has the room.
func (e *StaleError) Error() string {
	if e.Current.Home == "" {
		return fmt.Sprintf("%v: nobody has it, epoch %d", ErrStale, e.Current.Epoch)
	}
	return fmt.Sprintf("%v: it is at %s, epoch %d", ErrStale, e.Current.Home, e.Current.Epoch)
}

// Unwrap makes errors.Is find ErrStale.
func (e *StaleError) Unwrap() error { return ErrStale }

// Room is what the cluster agrees on about a room.
type Room struct {
	Name  string `json:"name"`
	Title string `json:"title,omitempty"`
	// Home is the id of the node where the room's teacher publishes; "" means that no node has claimed it.
	Home string `json:"home,omitempty"`
	// Epoch is the Raft index of the last claim, or more in a directory that was restored from another one's backup; 0 means
	// that the room was never claimed. It grows with every claim.
	Epoch  uint64    `json:"epoch,omitempty"`
	Opened time.Time `json:"opened"`
}

// The bounds of a room's texts. They keep a room, as JSON at its most escaped, within roomBytes.
const (
	maxName   = 64
	maxTitle  = 200
	maxNode   = 63
	roomBytes = 2304
)

// maxRooms bounds the directory. It is part of the machine that all voters run alike, and so not configurable.
const maxRooms = 100_000

// check tells what is wrong with a room that comes from elsewhere.
func (r *Room) check() error {
	for _, err := range []error{
		checkText("room", r.Name, 1, maxName), checkText("title", r.Title, 0, maxTitle), checkText("node", r.Home, 0, maxNode),
	} {
		if err != nil {
			return err
		}
	}
	return checkYear(r.Opened)
}

// checkYear keeps a time within what JSON can express.
func checkYear(t time.Time) error {
	if y := t.Year(); y < 0 || y > 9999 {
		return errors.New("the time of opening is not in a year from 0 to 9999")
	}
	return nil
}

func checkText(what, s string, least, most int) error {
	if len(s) < least || len(s) > most || !utf8.ValidString(s) {
		return fmt.Errorf("%s %.80q must be %d to %d bytes of UTF-8", what, s, least, most)
	}
	return nil
}
