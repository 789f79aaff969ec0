package wish

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lyceum/routing/ticket"
)

// talk is a session that remembers what it was told.
type talk struct {
	mu       sync.Mutex
	trickled []Fragment
	restarts int
	fail     error
	done     chan struct{}
	once     sync.Once
}

func (s *talk) Trickle(f Fragment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trickled = append(s.trickled, f)
	return nil
}

func (s *talk) Restart(context.Context, Fragment) (Fragment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return Fragment{}, s.fail
	}
	s.restarts++
	return Fragment{Ufrag: "node", Pwd: pwd, Candidates: []string{host1}, End: true}, nil
}

func (s *talk) Close()                { s.once.Do(func() { close(s.done) }) }
func (s *talk) Done() <-chan struct{} { return s.done }

const theAnswer = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=rtcp-mux\r\n"

// site is a handler behind a server, with the sessions that it started.
type site struct {
	t *testing.T
	*httptest.Server
	handler *Handler
	started chan *talk
	used    sync.Map
}

func newSite(t *testing.T, change func(*Config)) *site {
	t.Helper()
	s := &site{t: t, started: make(chan *talk, 64)}
	cfg := Config{
		Protocol: WHIP,
		Authorize: func(_ *http.Request, room, bearer string) (ticket.Grant, error) {
			errs := map[string]error{
				"": ticket.ErrMissing, "old": ticket.ErrExpired, "forged": ticket.ErrSignature, "student": ticket.ErrRole, "other": ticket.ErrWrongRoom,
				"early": ticket.ErrEarly, "junk": ticket.ErrMalformed, "crash": errors.New("the disk of 10.0.0.1 is gone"),
			}
			return ticket.Grant{Subject: bearer, Room: room, Role: ticket.Teacher}, errs[bearer]
		},
		Redeem: func(room, raw string) (ticket.Grant, error) {
			if raw == "wrongnode" {
				return ticket.Grant{}, ticket.ErrWrongNode
			}
			if _, used := s.used.LoadOrStore(raw, true); used {
				return ticket.Grant{}, ticket.ErrUsed
			}
			return ticket.Grant{Subject: raw, Room: room, Ticketed: true}, nil
		},
		Start: func(context.Context, Request) (Session, string, error) {
			talk := &talk{done: make(chan struct{})}
			s.started <- talk
			return talk, theAnswer, nil
		},
		Registerer: prometheus.NewRegistry(),
	}
	if change != nil {
		change(&cfg)
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.handler = h
	s.Server = httptest.NewServer(h)
	t.Cleanup(func() { h.Close(); s.Server.Close() })
	return s
}

// do sends one request without following redirects. Headers are "Name: value".
func (s *site) do(method, path, body string, headers ...string) *http.Response {
	s.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = s.URL + path
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(strings.NewReader(string(text)))
	return resp
}

const (
	sdpType  = "Content-Type: application/sdp"
	fragType = "Content-Type: application/trickle-ice-sdpfrag"
	anna     = "Authorization: Bearer anna"
)

// open makes a session and returns its URL and tag.
func (s *site) open() (url, tag string, t *talk) {
	s.t.Helper()
	resp := s.do("POST", "/whip/math", anOffer(), sdpType, anna)
	if resp.StatusCode != 201 {
		s.t.Fatalf("POST: %s", resp.Status)
	}
	return resp.Header.Get("Location"), resp.Header.Get("ETag"), <-s.started
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPostMakesASession(t *testing.T) {
	s := newSite(t, nil)
	resp := s.do("POST", "/whip/math", anOffer(), "Content-Type: application/sdp; charset=utf-8", anna)
	body := text(t, resp)
	if resp.StatusCode != 201 || resp.Header.Get("Content-Type") != "application/sdp" || !strings.HasPrefix(body, "v=0") {
		t.Fatalf("%s %v\n%s", resp.Status, resp.Header, body)
	}
	if !strings.Contains(body, "a=rtcp-mux-only\r\n") || !strings.Contains(body, "a=ice-options:trickle ice2\r\n") {
		t.Errorf("the answer is not complete:\n%s", body)
	}
	if l := resp.Header.Get("Location"); !regexp.MustCompile(`^` + s.URL + `/whip/math/session/[A-Z2-7]{26}$`).MatchString(l) {
		t.Errorf("Location %q", l)
	}
	if tag := resp.Header.Get("ETag"); !regexp.MustCompile(`^"[^"*]+"$`).MatchString(tag) {
		t.Errorf("ETag %q", tag)
	}
	if s.handler.Sessions() != 1 {
		t.Errorf("%d sessions", s.handler.Sessions())
	}
}

func TestRefusals(t *testing.T) {
	s := newSite(t, func(c *Config) {
		start := c.Start
		c.Start = func(ctx context.Context, rq Request) (Session, string, error) {
			switch rq.Room {
			case "taken":
				return nil, "", &Error{Status: 409, Detail: "another teacher is already publishing in this room"}
			case "slow":
				return nil, "", context.DeadlineExceeded
			case "refused":
				return &talk{done: make(chan struct{})}, strings.Replace(theAnswer, "audio 9", "audio 0", 1), nil
			}
			return start(ctx, rq)
		}
	})
	for name, c := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		header             string // "Name: part of its value"
	}{
		"C02 other type":        {"POST", "/whip/math", anOffer(), []string{anna, "Content-Type: text/plain"}, 415, "Accept-Post: application/sdp"},
		"C02 no type":           {"POST", "/whip/math", anOffer(), []string{anna}, 415, "Accept-Post: application/sdp"},
		"C03 words":             {"POST", "/whip/math", "hello world", []string{anna, sdpType}, 400, "Content-Type: application/problem+json"},
		"C03 nothing":           {"POST", "/whip/math", "", []string{anna, sdpType}, 400, ""},
		"C37 no BUNDLE":         {"POST", "/whip/math", strings.ReplaceAll(anOffer(), groups+"\r\n", ""), []string{anna, sdpType}, 422, ""},
		"C41 refused section":   {"POST", "/whip/refused", anOffer(), []string{anna, sdpType}, 422, ""},
		"C48 no token":          {"POST", "/whip/math", anOffer(), []string{sdpType}, 401, `WWW-Authenticate: Bearer realm="lyceum"`},
		"no token, undefined":   {"POST", "/whip/math", anOffer(), []string{sdpType, "Authorization: Bearer undefined"}, 401, ""},
		"no token, empty":       {"POST", "/whip/math", anOffer(), []string{sdpType, "Authorization: Bearer "}, 401, ""},
		"another scheme":        {"POST", "/whip/math", anOffer(), []string{sdpType, "Authorization: Basic anna"}, 401, ""},
		"expired":               {"POST", "/whip/math", anOffer(), []string{sdpType, "Authorization: Bearer old"}, 401, `WWW-Authenticate: error="invalid_token"`},
		"forged":                {"POST", "/whip/math", anOffer(), []string{sdpType, "Authorization: Bearer forged"}, 401, ""},
		"early":                 {"POST", "/whip/math", anOffer(), []string{sdpType, "Authorization: Bearer early"}, 401, ""},
		"malformed":             {"POST", "/whip/math", anOffer(), []string{sdpType, "Authorization: Bearer junk"}, 401, ""},
		"wrong role":            {"POST", "/whip/math", anOffer(), []string{sdpType, "Authorization: Bearer student"}, 403, `WWW-Authenticate: error="insufficient_scope"`},
		"wrong room":            {"POST", "/whip/math", anOffer(), []string{sdpType, "Authorization: Bearer other"}, 403, ""},
		"second teacher":        {"POST", "/whip/taken", anOffer(), []string{sdpType, anna}, 409, ""},
		"C55 a large body":      {"POST", "/whip/math", "v=0" + strings.Repeat("x", maxBody), []string{sdpType, anna}, 413, ""},
		"a room name":           {"POST", "/whip/ma.th", anOffer(), []string{sdpType, anna}, 404, ""},
		"no room":               {"POST", "/whip/", anOffer(), []string{sdpType, anna}, 404, ""},
		"another path":          {"POST", "/whip/math/x/y", anOffer(), []string{sdpType, anna}, 404, ""},
		"another method":        {"PUT", "/whip/math", anOffer(), []string{sdpType, anna}, 405, "Allow: POST"},
		"too slow":              {"POST", "/whip/slow", anOffer(), []string{sdpType, anna}, 503, "Retry-After: 2"},
		"an error of the node":  {"POST", "/whip/math", anOffer(), []string{sdpType, "Authorization: Bearer crash"}, 500, ""},
		"ticket of elsewhere":   {"POST", "/whip/math/ticket/wrongnode", anOffer(), []string{sdpType}, 403, ""},
		"C19 PATCH of nothing":  {"PATCH", "/whip/math/session/X", lines("a=end-of-candidates"), []string{fragType, "If-Match: *"}, 404, ""},
		"C19 DELETE of nothing": {"DELETE", "/whip/math/session/X", "", nil, 404, ""},
		"GET of nothing":        {"GET", "/whip/math/session/X", "", nil, 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			resp := s.do(c.method, c.path, c.body, c.headers...)
			body := text(t, resp)
			if resp.StatusCode != c.status {
				t.Fatalf("%s, want %d: %s", resp.Status, c.status, body)
			}
			if h, part, _ := strings.Cut(c.header, ": "); !strings.Contains(resp.Header.Get(h), part) {
				t.Errorf("%s is %q", h, resp.Header.Get(h))
			}
			var problem struct {
				Title, Detail, Error string
				Status               int
			}
			if err := json.Unmarshal([]byte(body), &problem); err != nil || problem.Status != c.status || problem.Detail == "" || problem.Error != problem.Detail || problem.Title == "" {
				t.Errorf("the problem is %s (%v)", body, err)
			}
			if strings.Contains(body, "10.0.0.1") {
				t.Errorf("an inner error got out: %s", body)
			}
			if resp.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(resp.Header.Get("Access-Control-Expose-Headers"), "WWW-Authenticate") {
				t.Errorf("a page cannot read the error: %v", resp.Header)
			}
		})
	}
	if s.handler.Sessions() != 0 {
		t.Errorf("%d sessions", s.handler.Sessions())
	}
}

func TestARawTokenIsAccepted(t *testing.T) {
	s := newSite(t, nil)
	if resp := s.do("POST", "/whip/math", anOffer(), sdpType, "Authorization: anna"); resp.StatusCode != 201 {
		t.Errorf("%s", resp.Status)
	}
}

func TestATicketOpensOnce(t *testing.T) {
	s := newSite(t, func(c *Config) {
		c.Redirect = func(*http.Request, string, ticket.Grant) (string, error) { return "https://elsewhere.example/", nil }
	})
	if resp := s.do("POST", "/whip/math/ticket/abc", "nonsense", sdpType); resp.StatusCode != 400 {
		t.Errorf("nonsense: %s", resp.Status)
	}
	if resp := s.do("POST", "/whip/math/ticket/abc", anOffer(), sdpType); resp.StatusCode != 201 {
		t.Errorf("the first time: %s; a ticketed request is never sent on, and an unreadable offer uses nothing up", resp.Status)
	}
	resp := s.do("POST", "/whip/math/ticket/abc", anOffer(), sdpType)
	if body := text(t, resp); resp.StatusCode != 401 || !strings.Contains(body, "used before") {
		t.Errorf("the second time: %s %s", resp.Status, body)
	}
}

func TestRedirect(t *testing.T) {
	to := "https://sin.example/whip/math/ticket/xyz"
	s := newSite(t, func(c *Config) {
		c.Redirect = func(_ *http.Request, room string, g ticket.Grant) (string, error) {
			if g.Subject == "lost" {
				return "", &Error{Status: 503, Detail: "no node may take this room", RetryAfter: 3 * time.Second}
			}
			return to, nil
		}
	})
	resp := s.do("POST", "/whip/math", anOffer(), sdpType, anna)
	if resp.StatusCode != 307 || resp.Header.Get("Location") != to || resp.Header.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	resp = s.do("POST", "/whip/math", anOffer(), sdpType, "Authorization: Bearer lost")
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "3" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
}

func TestOptionsAndGet(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Origins = []string{"https://school.example"} })
	url, _, _ := s.open()
	for _, path := range []string{"/whip/math", "/whip/math/ticket/x", url} {
		resp := s.do("OPTIONS", path, "", "Origin: https://school.example", "Access-Control-Request-Method: POST",
			"Access-Control-Request-Headers: authorization,content-type,etag")
		for h, parts := range map[string][]string{
			"Access-Control-Allow-Methods": {"OPTIONS", "GET", "HEAD", "POST", "PATCH", "DELETE"},
			"Access-Control-Allow-Headers": {"Authorization", "Content-Type", "If-Match", "If-None-Match", "ETag"},
			"Accept-Post":                  {"application/sdp"},
			"Access-Control-Allow-Origin":  {""},
		} {
			for _, p := range parts {
				if v := resp.Header.Get(h); v == "" || !strings.Contains(v, p) {
					t.Errorf("OPTIONS %s: %s is %q", path, h, v)
				}
			}
		}
		if resp.StatusCode != 200 || resp.Header.Get("Link") != "" {
			t.Errorf("OPTIONS %s: %s, Link %q", path, resp.Status, resp.Header.Get("Link"))
		}
		for _, method := range []string{"GET", "HEAD"} {
			if resp := s.do(method, path, ""); resp.StatusCode != 204 || text(t, resp) != "" {
				t.Errorf("%s %s: %s", method, path, resp.Status)
			}
		}
	}
	if resp := s.do("OPTIONS", "/whip/math", "", "Origin: https://evil.example"); resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a page from elsewhere may use the node: %v", resp.Header)
	}
	if resp := s.do("DELETE", url, "", "Origin: null"); resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("a page that was sent on cannot use its session: %v", resp.Header)
	}
	whep := newSite(t, func(c *Config) { c.Protocol = WHEP })
	for _, method := range []string{"GET", "HEAD"} {
		resp := whep.do(method, "/whep/math", "")
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/sdp" || resp.ContentLength != 0 {
			t.Errorf("WHEP %s: %s %v", method, resp.Status, resp.Header)
		}
	}
}

func TestPatch(t *testing.T) {
	s := newSite(t, nil)
	url, tag, session := s.open()
	creds := func(ufrag string) string {
		return lines(groups, mline, "a=mid:0", "a=ice-ufrag:"+ufrag, "a=ice-pwd:"+pwd, "a="+host1)
	}
	send := func(body string, headers ...string) *http.Response {
		t.Helper()
		return s.do("PATCH", url, body, headers...)
	}
	trickled := func() int {
		session.mu.Lock()
		defer session.mu.Unlock()
		return len(session.trickled)
	}
	for i, match := range []string{tag, strings.Trim(tag, `"`), "*", `"*"`, `"other", ` + tag} {
		resp := send(creds("EsAw"), fragType, "If-Match: "+match)
		if resp.StatusCode != 204 || resp.Header.Get("ETag") != "" || text(t, resp) != "" || trickled() != i+1 {
			t.Errorf("C14 If-Match %s: %s %v, %d trickled", match, resp.Status, resp.Header, trickled())
		}
	}
	if resp := send(lines("a=end-of-candidates"), fragType, "ETag: "+tag); resp.StatusCode != 204 {
		t.Errorf("ETag for If-Match: %s", resp.Status)
	}
	for name, c := range map[string]struct {
		body    string
		headers []string
		status  int
	}{
		"C15": {creds("EsAw"), []string{"Content-Type: application/json", "If-Match: " + tag}, 415},
		"C16": {"\x00\xff", []string{fragType, "If-Match: " + tag}, 400},
		"C17": {creds("EsAw"), []string{fragType}, 428},
		"C18": {creds("EsAw"), []string{fragType, `If-Match: "bogus"`}, 412},
		"C55": {creds("EsAw") + strings.Repeat("a=x\r\n", maxBody/4), []string{fragType, "If-Match: " + tag}, 413},
	} {
		if resp := send(c.body, c.headers...); resp.StatusCode != c.status {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
	session.mu.Lock()
	session.fail = &Error{Status: 422, Detail: "the node does not restart"}
	session.mu.Unlock()
	if resp := send(creds("new1"), fragType, "If-Match: *"); resp.StatusCode != 422 {
		t.Errorf("C27 a restart that fails: %s", resp.Status)
	}
	if resp := send(creds("EsAw"), fragType, "If-Match: "+tag); resp.StatusCode != 204 {
		t.Errorf("C27 after it: %s", resp.Status)
	}
	session.mu.Lock()
	session.fail = nil
	session.mu.Unlock()
	resp := send(creds("new1"), fragType, `If-Match: "*"`)
	body := text(t, resp)
	fresh := resp.Header.Get("ETag")
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/trickle-ice-sdpfrag" || fresh == tag || fresh == "" {
		t.Errorf("C23: %s %v", resp.Status, resp.Header)
	}
	for _, want := range []string{"a=ice-ufrag:node\r\n", "a=ice-pwd:" + pwd, "a=" + host1, "a=end-of-candidates", "a=ice-options:trickle ice2"} {
		if !strings.Contains(body, want) {
			t.Errorf("C23: the fragment lacks %q:\n%s", want, body)
		}
	}
	if resp := send(creds("new1"), fragType, "If-Match: "+tag); resp.StatusCode != 412 {
		t.Errorf("C26 the old tag: %s", resp.Status)
	}
	if resp := send(creds("EsAw"), fragType, "If-Match: *"); resp.StatusCode != 412 {
		t.Errorf("C30 late candidates of the old generation: %s", resp.Status)
	}
	if resp := send(creds("new1"), fragType, "If-Match: "+fresh); resp.StatusCode != 204 || session.restarts != 1 {
		t.Errorf("C25: %s, %d restarts", resp.Status, session.restarts)
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if resp := send(creds("new1"), fragType, "If-Match: "+fresh); resp.StatusCode != 204 && resp.StatusCode != 412 {
				t.Errorf("C30: %s", resp.Status)
			}
		})
	}
	wg.Go(func() { send(creds("new2"), fragType, "If-Match: *") })
	wg.Wait()
}

// A node sends checks to each address that a client names, so that a client may not name any number of them.
func TestCandidatesOfASessionAreBounded(t *testing.T) {
	s := newSite(t, nil)
	url, tag, session := s.open()
	send := func(body string, match string) int {
		return s.do("PATCH", url, body, fragType, "If-Match: "+match).StatusCode
	}
	most := maxCandidates - 1 // the offer has one
	for range 3 {
		if got := send(manyCandidates(most), tag); got != 204 {
			t.Fatalf("candidates: %d", got)
		}
	}
	if got := send(lines("a="+host2), tag); got != 400 {
		t.Errorf("one more: %d", got)
	}
	if n := len(session.trickled[0].Candidates); n != most || len(session.trickled[1].Candidates) != 0 {
		t.Errorf("%d candidates, and again %d", n, len(session.trickled[1].Candidates))
	}
	if got := send(lines("a=ice-ufrag:new1", "a=ice-pwd:"+pwd, "a="+host1), "*"); got != 200 {
		t.Fatalf("restart: %d", got)
	}
	if got := send(lines("a=ice-ufrag:new1", "a=ice-pwd:"+pwd, "a="+host2), "*"); got != 204 {
		t.Errorf("candidates of the next generation: %d", got)
	}
}

// far is a session that knows how far the home is.
type far struct{ *talk }

func (far) Describe(h http.Header) { h.Set(HeaderHops, "2") }

func TestASessionDescribesItself(t *testing.T) {
	s := newSite(t, func(c *Config) {
		c.Start = func(context.Context, Request) (Session, string, error) {
			return far{&talk{done: make(chan struct{})}}, theAnswer, nil
		}
	})
	resp := s.do("POST", "/whip/math", anOffer(), sdpType, anna)
	url := resp.Header.Get("Location")
	for _, resp := range []*http.Response{resp, s.do("GET", url, ""), s.do("HEAD", url, "")} {
		if resp.Header.Get(HeaderHops) != "2" || !strings.Contains(resp.Header.Get("Access-Control-Expose-Headers"), HeaderHops) {
			t.Errorf("%s: %v", resp.Status, resp.Header)
		}
	}
}

func TestDelete(t *testing.T) {
	s := newSite(t, nil)
	url, _, session := s.open()
	if resp := s.do("DELETE", strings.Replace(url, "/math/", "/art/", 1), ""); resp.StatusCode != 404 {
		t.Errorf("under another room: %s", resp.Status)
	}
	if resp := s.do("DELETE", url, "", `If-Match: "bogus"`); resp.StatusCode != 200 || text(t, resp) != "" {
		t.Errorf("C31, C32, C50: %s", resp.Status)
	}
	<-session.Done()
	for _, method := range []string{"DELETE", "PATCH", "GET"} {
		if resp := s.do(method, url, lines("a=end-of-candidates"), fragType, "If-Match: *"); resp.StatusCode != 404 {
			t.Errorf("%s after it: %s", method, resp.Status)
		}
	}
}

func TestASessionThatEndsIsForgotten(t *testing.T) {
	s := newSite(t, nil)
	url, _, session := s.open()
	session.Close()
	deadline := time.After(10 * time.Second)
	for s.handler.Sessions() != 0 {
		select {
		case <-deadline:
			t.Fatal("it is still there")
		case <-time.After(time.Millisecond):
		}
	}
	if resp := s.do("DELETE", url, ""); resp.StatusCode != 404 {
		t.Errorf("%s", resp.Status)
	}
}

func TestBounds(t *testing.T) {
	hold := make(chan struct{})
	entered := make(chan struct{})
	s := newSite(t, func(c *Config) {
		c.MaxPending, c.MaxWaiting, c.MaxSessions = 1, 1, 2
		start := c.Start
		c.Start = func(ctx context.Context, rq Request) (Session, string, error) {
			if rq.Room == "hold" {
				entered <- struct{}{}
				<-hold
			}
			return start(ctx, rq)
		}
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if resp := s.do("POST", "/whip/hold", anOffer(), sdpType, anna); resp.StatusCode != 201 {
			t.Errorf("the one in the making: %s", resp.Status)
		}
	})
	<-entered
	if resp := s.do("POST", "/whip/math", anOffer(), sdpType, anna); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one whose turn does not come: %s", resp.Status)
	}
	wg.Go(func() {
		if resp := s.do("POST", "/whip/hold", anOffer(), sdpType, anna); resp.StatusCode != 201 {
			t.Errorf("the one that waits: %s", resp.Status)
		}
	})
	for s.handler.waiting.Load() == 0 {
		runtime.Gosched()
	}
	if resp := s.do("POST", "/whip/math", anOffer(), sdpType, anna); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one too many waiting: %s", resp.Status)
	}
	hold <- struct{}{}
	<-entered
	hold <- struct{}{}
	wg.Wait()
	if resp := s.do("POST", "/whip/math", anOffer(), sdpType, anna); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one session too many: %s", resp.Status)
	}
	s.handler.Close()
	if resp := s.do("POST", "/whip/math", anOffer(), sdpType, anna); resp.StatusCode != 503 || s.handler.Sessions() != 0 {
		t.Errorf("after Close: %s, %d sessions", resp.Status, s.handler.Sessions())
	}
}

func TestConfigSpeaksTheOperatorsWords(t *testing.T) {
	ok := Config{
		Authorize: func(*http.Request, string, string) (ticket.Grant, error) { return ticket.Grant{}, nil },
		Start:     func(context.Context, Request) (Session, string, error) { return nil, "", nil },
		Base:      "https://fra.example.org",
	}
	if _, err := New(ok); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"protocol": func(c *Config) { c.Protocol = 7 }, "authorize": func(c *Config) { c.Authorize = nil }, "start": func(c *Config) { c.Start = nil },
		"relative": func(c *Config) { c.Base = "fra.example.org" }, "query": func(c *Config) { c.Base = "https://x?y" }, "broken": func(c *Config) { c.Base = "http://[" },
		"pending": func(c *Config) { c.MaxPending = -1 }, "waiting": func(c *Config) { c.MaxWaiting = -1 },
		"sessions": func(c *Config) { c.MaxSessions = -1 },
	} {
		c := ok
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
