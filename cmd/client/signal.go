package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// maxAnswer bounds the body of an answer in bytes; an SDP answer has some ten kilobytes.
	maxAnswer = 256 << 10
	// maxDetail bounds what is repeated of a server's own words, in bytes.
	maxDetail = 300
	// maxRedirects bounds how often one POST is sent on. Lyceum sends on once.
	maxRedirects = 3
	// requestTime bounds one request; a dead node must not hold a student longer than trying the next one takes.
	requestTime = 5 * time.Second
)

// StatusError is a refusal by the server, in its own words where it gave any.
type StatusError struct {
	// Status is the HTTP status code.
	Status int
	// Detail is the server's sentence, or empty.
	Detail string
	// Host is who refused.
	Host string

	problem bool
}

func (e *StatusError) Error() string {
	s := fmt.Sprintf("%s answered %d %s", e.Host, e.Status, http.StatusText(e.Status))
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// reason is the error without the host, for counting.
func (e *StatusError) reason() string {
	return strings.TrimPrefix(e.Error(), e.Host+" answered ")
}

// refused reports whether err says that asking again is useless: the request is at fault, not the moment.
func refused(err error) bool {
	e, ok := errors.AsType[*StatusError](err)
	return ok && e.Status >= 400 && e.Status < 500 &&
		e.Status != http.StatusRequestTimeout && e.Status != http.StatusTooEarly && e.Status != http.StatusTooManyRequests
}

// signaller speaks HTTP for both sides. It is never changed after it was made.
type signaller struct {
	http   *http.Client
	header http.Header
}

// newSignaller takes a copy of the client (nil is one of its own), because redirects are followed here.
func newSignaller(c *http.Client, header http.Header) *signaller {
	if c == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = 32
		c = &http.Client{Transport: t}
	}
	own := *c
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &signaller{http: &own, header: header}
}

// answered is what a server gave for an offer.
type answered struct {
	// sdp is the answer.
	sdp string
	// resource is the session's own URL, or nil if the server named none.
	resource *url.URL
	// token is what the resource is asked with; empty where a ticket in the URL speaks for itself.
	token string
	// host is who answered.
	host string
	// header is the answer's.
	header http.Header
}

// offer posts an SDP offer and follows redirects. The token goes only to the host that it was given for: a server that
// sends a client to another host puts what it needs there into the URL.
func (s *signaller) offer(ctx context.Context, to *url.URL, token, sdp string) (answered, error) {
	home := *to
	for range maxRedirects + 1 {
		if to.Scheme != home.Scheme || to.Host != home.Host {
			token = ""
		}
		resp, body, err := s.do(ctx, http.MethodPost, to, token, "application/sdp", []byte(sdp))
		if err != nil {
			return answered{}, err
		}
		switch resp.StatusCode {
		case http.StatusCreated, http.StatusOK:
			a := answered{sdp: string(body), token: token, host: to.Host, header: resp.Header}
			if l := resp.Header.Get("Location"); l != "" {
				if a.resource, err = to.Parse(l); err != nil {
					return answered{}, fmt.Errorf("%s names a session at an address that is none", to.Host)
				}
			}
			return a, nil
		case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			next, err := to.Parse(resp.Header.Get("Location"))
			if err != nil || next.Host == "" || next.Scheme != "http" && next.Scheme != "https" {
				return answered{}, fmt.Errorf("%s sends on to an address that is none", to.Host)
			}
			to = next
		default:
			return answered{}, statusError(to.Host, resp, body)
		}
	}
	return answered{}, fmt.Errorf("%s and others send on in a circle: more than %d redirects", home.Host, maxRedirects)
}

// end deletes a session. The server notices by itself when this fails, only later.
func (s *signaller) end(ctx context.Context, a answered) error {
	if a.resource == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	resp, body, err := s.do(ctx, http.MethodDelete, a.resource, a.token, "", nil)
	if err != nil {
		return err
	}
	// The server may have heard the goodbye on the connection itself before this one.
	if resp.StatusCode/100 != 2 && resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusGone {
		return statusError(a.resource.Host, resp, body)
	}
	return nil
}

// hops asks a session's server how far it is from the home of the room; ok is false when it does not say.
func (s *signaller) hops(ctx context.Context, a answered) (hops int, ok bool) {
	if a.resource == nil {
		return 0, false
	}
	resp, _, err := s.do(ctx, http.MethodHead, a.resource, a.token, "", nil)
	if err != nil || resp.StatusCode/100 != 2 {
		return 0, false
	}
	hops = hopsOf(resp.Header)
	return hops, hops >= 0
}

// seat is the answer to the question where to watch.
type seat struct {
	Edge      place   `json:"edge"`
	Fallbacks []place `json:"fallbacks"`
	Ticket    string  `json:"ticket"`
	WHEP      string  `json:"whep"`
	Why       string  `json:"why"`
}

// place is a node that can serve a student.
type place struct {
	ID     string `json:"id"`
	Region string `json:"region"`
	URL    string `json:"url"`
}

// errNoJoin says that a server does not answer where to watch; it is watched at directly.
var errNoJoin = errors.New("the server does not assign students")

// live asks a node whether anybody publishes in a room. ok is false when there is no answer.
func (s *signaller) live(ctx context.Context, node *url.URL, room, token string) (live, ok bool) {
	resp, body, err := s.do(ctx, http.MethodGet, node.JoinPath("v1", "rooms", room), token, "", nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		return false, false
	}
	var a struct {
		Live *bool `json:"live"`
	}
	if json.Unmarshal(body, &a) != nil || a.Live == nil {
		return false, false
	}
	return *a.Live, true
}

// join asks a node where a student is to watch, other than at nodes that just failed them.
func (s *signaller) join(ctx context.Context, node *url.URL, room, token string, avoid []string) (seat, error) {
	to := node.JoinPath("v1", "rooms", room, "join")
	wish, err := json.Marshal(struct {
		Avoid []string `json:"avoid,omitempty"`
	}{avoid})
	if err != nil {
		return seat{}, fmt.Errorf("ask %s: %w", to.Host, err)
	}
	resp, body, err := s.do(ctx, http.MethodPost, to, token, "application/json", wish)
	if err != nil {
		return seat{}, err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		err := statusError(to.Host, resp, body)
		if err.Status == http.StatusMethodNotAllowed || err.Status == http.StatusNotFound && !err.problem {
			return seat{}, errNoJoin
		}
		return seat{}, err
	}
	var a seat
	if err := json.Unmarshal(body, &a); err != nil {
		return seat{}, fmt.Errorf("%s answers where to watch with something that is not JSON", to.Host)
	}
	if u, err := url.Parse(a.WHEP); err != nil || u.Host == "" {
		return seat{}, fmt.Errorf("%s answers where to watch without an absolute address", to.Host)
	}
	return a, nil
}

// do sends one request and reads the answer whole. Its errors name the host alone: the rest of a URL may be a ticket.
func (s *signaller) do(ctx context.Context, method string, to *url.URL, token, kind string, body []byte) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, to.String(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, fmt.Errorf("ask %s: %w", to.Host, plain(err))
	}
	for k, v := range s.header {
		req.Header[k] = v
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("ask %s: %w", to.Host, plain(err))
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	got, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read the answer of %s: %w", to.Host, plain(err))
	}
	if len(got) > maxAnswer {
		return nil, nil, fmt.Errorf("%s answers with more than %d bytes", to.Host, maxAnswer)
	}
	return resp, got, nil
}

// plain takes the URL and the ports out of an error.
func plain(err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// statusError reads a refusal: problem details (RFC 9457) or a line of text.
func statusError(host string, resp *http.Response, body []byte) *StatusError {
	e := &StatusError{Status: resp.StatusCode, Host: host}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	var p struct{ Title, Detail string }
	switch {
	case kind == "application/problem+json" || kind == "application/json":
		if json.Unmarshal(body, &p) == nil {
			e.problem = kind == "application/problem+json"
			e.Detail = p.Detail
			if e.Detail == "" {
				e.Detail = p.Title
			}
		}
	case strings.HasPrefix(kind, "text/plain"):
		e.Detail, _, _ = strings.Cut(strings.TrimSpace(string(body)), "\n")
	}
	if len(e.Detail) > maxDetail {
		e.Detail = strings.ToValidUTF8(e.Detail[:maxDetail], "") + "…"
	}
	return e
}
