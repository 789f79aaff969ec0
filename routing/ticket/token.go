package ticket

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// Token is the right to be in a room, as an Authorization header carries it.
type Token struct {
	Subject string    // who carries it, for the operator: an account, a seat; 1 to 128 bytes
	Name    string    // what other people see; at most 128 bytes, may be ""
	Room    string    // a room's name, or AnyRoom
	Role    Role      // what the subject is in the room
	Expires time.Time // required
	ID      string    // unique; "" lets SignToken choose
}

// Grant is what a checked token or ticket allows: what handlers act on.
type Grant struct {
	Subject, Name, Room string
	Role                Role
	Action              Action
	Ticketed            bool // by a ticket: never to be sent on to another node
}

// SignToken makes a token. Its lifetime is the caller's choice.
func (k *Keys) SignToken(t Token) (string, error) {
	if t.ID == "" {
		t.ID = rand.Text()
	}
	if err := t.validate(); err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	c := claims{Name: t.Name, Room: t.Room, Role: t.Role}
	c.Issuer, c.Audience = issuer, jwt.ClaimStrings{k.cluster}
	c.Subject, c.ID = t.Subject, t.ID
	c.ExpiresAt, c.IssuedAt = jwt.NewNumericDate(t.Expires), jwt.NewNumericDate(time.Now())
	raw, err := k.sign(typeToken, c)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return raw, nil
}

// CheckToken returns what a token says, if it is one of this cluster and its time is now.
func (k *Keys) CheckToken(raw string, now time.Time) (Token, error) {
	c, err := k.check(typeToken, raw, now, k.leeway)
	if err != nil {
		return Token{}, err
	}
	t := Token{Subject: c.Subject, Name: c.Name, Room: c.Room, Role: c.Role, Expires: c.ExpiresAt.Time, ID: c.ID}
	if err := t.validate(); err != nil {
		return Token{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return t, nil
}

// Authorize returns what a token allows its bearer to do, if that includes the action in the room.
func (k *Keys) Authorize(raw, room string, a Action, now time.Time) (Grant, error) {
	t, err := k.CheckToken(raw, now)
	if err != nil {
		return Grant{}, err
	}
	if err := ValidRoom(room); err != nil {
		return Grant{}, err
	}
	if t.Room != room && t.Room != AnyRoom {
		return Grant{}, ErrWrongRoom
	}
	if !t.Role.May(a) {
		return Grant{}, fmt.Errorf("%w: the role %q may not %s", ErrRole, t.Role, a)
	}
	return Grant{Subject: t.Subject, Name: t.Name, Room: room, Role: t.Role, Action: a}, nil
}

// validate says what is wrong with the contents, in words that fit behind "sign a token:".
func (t *Token) validate() error {
	if t.Room != AnyRoom {
		if err := ValidRoom(t.Room); err != nil {
			return err
		}
	}
	return validatePerson(t.Subject, t.Name, t.ID, t.Role, t.Expires)
}

// maxText bounds the texts of a token, so that a token fits a header and its texts fit a table.
const maxText = 128

// validatePerson checks what tokens and tickets have in common.
func validatePerson(subject, name, id string, role Role, expires time.Time) error {
	switch {
	case subject == "":
		return errors.New("it names no subject")
	case !printable(subject):
		return fmt.Errorf("its subject is not a printable text of at most %d bytes", maxText)
	case !printable(name):
		return fmt.Errorf("its name is not a printable text of at most %d bytes", maxText)
	case id == "":
		return errors.New("it has no id")
	case !printable(id):
		return fmt.Errorf("its id is not a printable text of at most %d bytes", maxText)
	case !role.Valid():
		return fmt.Errorf("it has no role that is known here (%s, %s, %s, %s, %s or %s)",
			Teacher, Assistant, Student, Observer, Recorder, Admin)
	case expires.IsZero():
		return errors.New("it does not say when it expires")
	}
	return nil
}

// printable reports whether a text from outside can be shown as it is: bounded, valid and without control or format
// characters, which could disguise it in a list or a log. The joiners that some scripts need are let through.
func printable(s string) bool {
	if len(s) > maxText || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		switch {
		case r == '\u200c', r == '\u200d', r == ' ', unicode.IsGraphic(r) && !unicode.Is(unicode.Zs, r):
		default:
			return false
		}
	}
	return true
}
