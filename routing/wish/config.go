package wish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/prometheus/client_golang/prometheus"

	"lyceum/routing/ticket"
)

// Protocol is one of the two directions of media.
type Protocol int

const (
	// WHIP is the ingest protocol, RFC 9725: clients publish.
	WHIP Protocol = iota
	// WHEP is the egress protocol, draft-ietf-wish-whep: clients watch.
	WHEP
)

func (p Protocol) String() string {
	if p == WHEP {
		return "whep"
	}
	return "whip"
}

// Request is what a client asks for, after everything that could be checked without media was checked.
type Request struct {
	// Room is a valid room name.
	Room string
	// Source is the query parameter "source" of the URL, at most 32 bytes: what is published, for a teacher with several.
	Source string
	// Grant says who asks.
	Grant ticket.Grant
	// Offer is the client's SDP, without candidates that cannot be used.
	Offer string
	// Client is the address of the client; it is the zero Addr when it is not known.
	Client netip.Addr
}

// Session is one client's transport. Trickle and Restart are called one after the other; Close may come at any time, and
// more than once.
type Session interface {
	// Trickle adds candidates of the client.
	Trickle(Fragment) error
	// Restart begins a new ICE generation with the client's new credentials and answers with the session's own. When it
	// fails, the session goes on as it was.
	Restart(context.Context, Fragment) (Fragment, error)
	// Close ends the session; Done follows soon.
	Close()
	// Done is closed when the session has ended, for whatever reason.
	Done() <-chan struct{}
}

// Describer is a Session that has something to say in the headers of the 201, and of the answers to GET and HEAD at its
// URL. What pages of other origins are to read must be among the exposed headers: HeaderHops and HeaderPicture
// are.
type Describer interface {
	Describe(http.Header)
}

// Extended is a Session with resources of its own below its URL, as the extensions of WHEP want them. The URL is the right to
// use these as well.
type Extended interface {
	// Extend serves one of them, by the last part of its path. Its errors are answered like all others.
	Extend(w http.ResponseWriter, r *http.Request, name string) error
}

// HeaderPicture tells what a subscriber is shown and why: "all", "less" or "audio-only" by what its network carries,
// "as wished" by its own wish.
const HeaderPicture = "Lyceum-Picture"

// HeaderHops tells how many links are between the node and the home of the room.
const HeaderHops = "Lyceum-Hops"

// Config configures a Handler.
type Config struct {
	// Protocol decides the path, /whip/ or /whep/, and the direction of media.
	Protocol Protocol
	// Base is the public URL of this node, "https://fra.example.org" for example; Locations begin with it.
	// "" takes the scheme and host of each request.
	Base string
	// Authorize says what the bearer of a token may do; bearer is "" when none was sent. Required. Its errors are
	// the sentinels of package ticket or an *Error.
	Authorize func(r *http.Request, room, bearer string) (ticket.Grant, error)
	// Redeem uses up a one-time ticket that came in the path. Nil refuses all tickets.
	Redeem func(room, raw string) (ticket.Grant, error)
	// Redirect names the absolute URL at another node that the client is to use instead, or "" to serve it here.
	// Nil serves all here. It is never asked for a ticketed request, so that a client is sent on at most once.
	Redirect func(r *http.Request, room string, g ticket.Grant) (location string, err error)
	// Start makes a session and its SDP answer with all candidates. Required. It is to take less than 8 s.
	Start func(ctx context.Context, rq Request) (Session, string, error)
	// Client finds the address of the client. Nil takes the address of the connection.
	Client func(*http.Request) netip.Addr
	// Rules bounds the offers. The zero value means RulesFor(Protocol).
	Rules Rules
	// Origins are the web origins whose pages may use this node, "https://school.example" for example. Empty means any.
	Origins []string
	// MaxPending is how many POSTs may be in the making at once; 0 means 64. More wait for their turn. With 8 on two cores, 200 who
	// came at once were slower (measured: 95 % within 1.6 s), because those who shake hands meanwhile take the turns' time.
	MaxPending int
	// MaxWaiting is how many POSTs may wait for their turn; 0 means 1,024. More, and those whose turn does not come within
	// 1.5 s, are answered 503.
	MaxWaiting int
	// MaxSessions is how many sessions there may be at once; 0 means no limit. More are answered 503.
	MaxSessions int
	// Logger is for errors that are the node's own; nil discards.
	Logger *slog.Logger
	// Registerer takes the metrics; nil means none are kept.
	Registerer prometheus.Registerer
}

// Validate says in the operator's words what is wrong with the configuration.
func (c *Config) Validate() error {
	switch {
	case c.Protocol != WHIP && c.Protocol != WHEP:
		return fmt.Errorf("protocol %d is neither WHIP nor WHEP", c.Protocol)
	case c.Authorize == nil:
		return errors.New("nothing says who may use the node: Authorize is missing")
	case c.Start == nil:
		return errors.New("nothing makes sessions: Start is missing")
	case c.MaxPending < 0:
		return errors.New("the number of requests in the making cannot be negative")
	case c.MaxWaiting < 0:
		return errors.New("the number of requests that wait cannot be negative")
	case c.MaxSessions < 0:
		return errors.New("the number of sessions cannot be negative")
	}
	if c.Base != "" {
		u, err := url.Parse(c.Base)
		if err != nil {
			return fmt.Errorf("the public URL %q cannot be read: %w", c.Base, err)
		}
		if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("the public URL %q must look like https://host or https://host/path", c.Base)
		}
	}
	return nil
}
