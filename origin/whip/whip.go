package whip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lyceum/origin"
	"lyceum/routing/ticket"
	"lyceum/routing/wish"
)

// errDeleted is why a publisher ends that asked for it.
var errDeleted = fmt.Errorf("it ended its session: %w", origin.ErrLeft)

// Config configures the handler. Fields without a comment are as in wish.Config.
type Config struct {
	// Origin receives the publishers. Required.
	Origin *origin.Origin
	// Claim makes this node the home of a room, or says why it cannot be. It is called for each publisher before its
	// session is made; an *wish.Error with a Location sends the publisher there. Nil means that this node is the home of all rooms.
	Claim func(ctx context.Context, room string) error

	Base        string
	Authorize   func(r *http.Request, room, bearer string) (ticket.Grant, error)
	Redeem      func(room, raw string) (ticket.Grant, error)
	Redirect    func(r *http.Request, room string, g ticket.Grant) (location string, err error)
	Client      func(*http.Request) netip.Addr
	Origins     []string
	MaxPending  int
	MaxSessions int
	Logger      *slog.Logger
	Registerer  prometheus.Registerer
}

// New makes the handler of /whip/.
func New(cfg Config) (*wish.Handler, error) {
	if cfg.Origin == nil {
		return nil, errors.New("serve whip: nothing receives publishers: Origin is missing")
	}
	return wish.New(wish.Config{
		Protocol: wish.WHIP, Base: cfg.Base, Authorize: cfg.Authorize, Redeem: cfg.Redeem, Redirect: cfg.Redirect,
		Start: cfg.start, Client: cfg.Client, Origins: cfg.Origins,
		MaxPending: cfg.MaxPending, MaxSessions: cfg.MaxSessions, Logger: cfg.Logger, Registerer: cfg.Registerer,
	})
}

// start makes a publisher at the home of its room.
func (c *Config) start(ctx context.Context, rq wish.Request) (wish.Session, string, error) {
	if c.Claim != nil {
		if err := c.Claim(ctx, rq.Room); err != nil {
			return nil, "", fmt.Errorf("claim room %s: %w", rq.Room, err)
		}
	}
	p, answer, err := c.Origin.Publish(ctx, origin.PublishRequest{
		Room: rq.Room, Source: origin.Source(rq.Source), Subject: rq.Grant.Subject, Name: rq.Grant.Name, Offer: rq.Offer,
	})
	if err != nil {
		return nil, "", refusal(err)
	}
	return session{p}, startBitrate(answer), nil
}

// refusal gives the errors of an origin their status.
func refusal(err error) error {
	switch {
	case errors.Is(err, origin.ErrOccupied):
		return &wish.Error{Status: http.StatusConflict, Detail: origin.ErrOccupied.Error(), RetryAfter: 2 * time.Second}
	case errors.Is(err, origin.ErrOffer), errors.Is(err, origin.ErrSource):
		return &wish.Error{Status: http.StatusBadRequest, Detail: err.Error()}
	case errors.Is(err, origin.ErrClosed):
		return &wish.Error{Status: http.StatusServiceUnavailable, Detail: origin.ErrClosed.Error(), RetryAfter: 2 * time.Second}
	}
	return err
}

// session is a publisher as wish sees it.
type session struct{ *origin.Publisher }

// Close ends the publisher by its own wish.
func (s session) Close() { s.Publisher.Close(errDeleted) }

// Restart gives an offer that cannot be answered its status; the session goes on.
func (s session) Restart(ctx context.Context, f wish.Fragment) (wish.Fragment, error) {
	answer, err := s.Publisher.Restart(ctx, f)
	if err != nil {
		return wish.Fragment{}, refusal(err)
	}
	return answer, nil
}

// startRate is a hint for Chromium, which else begins at 300 kbit/s and takes a second or two to show a class.
const startRate = "x-google-start-bitrate=2500"

// startBitrate adds the hint to the format lines of VP8 and H.264 in an answer. Other publishers pass over it.
func startBitrate(answer string) string {
	var primary []string // payload types
	formatted := map[string]bool{}
	for line := range strings.Lines(answer) {
		line = strings.TrimRight(line, "\r\n")
		if pt, codec, ok := field(line, "a=rtpmap:"); ok && (strings.EqualFold(codec, "VP8/90000") || strings.EqualFold(codec, "H264/90000")) {
			primary = append(primary, pt)
		}
		if pt, _, ok := field(line, "a=fmtp:"); ok {
			formatted[pt] = true
		}
	}
	var b strings.Builder
	for line := range strings.Lines(answer) {
		line = strings.TrimRight(line, "\r\n")
		for _, pt := range primary {
			if p, _, ok := field(line, "a=fmtp:"); ok && p == pt && !strings.Contains(line, "x-google-") {
				line += ";" + startRate
			}
			if p, _, ok := field(line, "a=rtpmap:"); ok && p == pt && !formatted[pt] {
				line += "\r\na=fmtp:" + pt + " " + startRate
			}
		}
		b.WriteString(line)
		b.WriteString("\r\n")
	}
	return b.String()
}

// field splits "a=name:96 value".
func field(line, name string) (payloadType, value string, ok bool) {
	rest, ok := strings.CutPrefix(line, name)
	if !ok {
		return "", "", false
	}
	payloadType, value, ok = strings.Cut(rest, " ")
	return payloadType, value, ok
}
