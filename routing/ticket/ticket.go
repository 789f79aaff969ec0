package ticket

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// MaxLifetime is the longest life of a ticket: time enough to follow a redirect, too short to be worth stealing.
const MaxLifetime = time.Minute

// Ticket is the right to do one thing at one node, once.
type Ticket struct {
	Subject string    // who carries it; 1 to 128 bytes
	Name    string    // what other people see; at most 128 bytes, may be ""
	Room    string    // the one room
	Node    string    // the one node that redeems it
	Role    Role      // what the subject is in the room
	Action  Action    // the one thing
	Expires time.Time // at most MaxLifetime from now
	ID      string    // unique; "" lets SignTicket choose
}

// Ticket returns a ticket that hands the grant over to another node.
func (g Grant) Ticket(node string, expires time.Time) Ticket {
	return Ticket{Subject: g.Subject, Name: g.Name, Room: g.Room, Node: node, Role: g.Role, Action: g.Action, Expires: expires}
}

// SignTicket makes a ticket. The text is safe in the path of a URL.
func (k *Keys) SignTicket(t Ticket) (string, error) {
	if t.ID == "" {
		t.ID = rand.Text()
	}
	if err := t.validate(); err != nil {
		return "", fmt.Errorf("sign a ticket: %w", err)
	}
	if life := time.Until(t.Expires); life > MaxLifetime {
		return "", fmt.Errorf("sign a ticket: it would live %s, longer than %s", life.Round(time.Second), MaxLifetime)
	}
	c := claims{Name: t.Name, Room: t.Room, Role: t.Role, Node: t.Node, Action: t.Action}
	c.Issuer, c.Audience = issuer, jwt.ClaimStrings{k.cluster}
	c.Subject, c.ID, c.ExpiresAt = t.Subject, t.ID, jwt.NewNumericDate(t.Expires)
	raw, err := k.sign(typeTicket, c)
	if err != nil {
		return "", fmt.Errorf("sign a ticket: %w", err)
	}
	return raw, nil
}

// validate says what is wrong with the contents, in words that fit behind "sign a ticket:".
func (t *Ticket) validate() error {
	if err := ValidRoom(t.Room); err != nil {
		return err
	}
	switch {
	case t.Node == "":
		return errors.New("it names no node")
	case !printable(t.Node):
		return fmt.Errorf("its node is not a printable text of at most %d bytes", maxText)
	case !t.Action.Valid():
		return fmt.Errorf("its action is neither %q nor %q", Publish, Watch)
	case !t.Role.May(t.Action):
		return fmt.Errorf("%w: the role %q may not %s", ErrRole, t.Role, t.Action)
	}
	return validatePerson(t.Subject, t.Name, t.ID, t.Role, t.Expires)
}
