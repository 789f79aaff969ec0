package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lyceum/geo"
	"lyceum/mesh/gossip"
	"lyceum/routing"
	"lyceum/routing/directory"
	"lyceum/routing/ticket"
	"lyceum/routing/wish"
)

// class is a cluster of three nodes as the API at one of them sees it.
type class struct {
	t       *testing.T
	keys    *ticket.Keys
	members []gossip.Member
	place   geo.Place
	down    bool // the directory does not answer
	h       *Handler
}

func newClass(t *testing.T, origins ...string) *class {
	t.Helper()
	c := &class{t: t, keys: newKeys(t, "uni")}
	for _, m := range []gossip.Member{
		{ID: "frankfurt", Region: "eu-central", Place: geo.Point{Lat: 50.11, Lon: 8.68}},
		{ID: "singapore", Region: "ap-southeast", Place: geo.Point{Lat: 1.35, Lon: 103.82}},
		{ID: "virginia", Region: "us-east", Place: geo.Point{Lat: 39.04, Lon: -77.49}},
	} {
		m.Alive, m.Roles, m.URL, m.Load.Limit = true, gossip.Edge|gossip.Origin, "https://"+m.ID+".example", 100
		c.members = append(c.members, m)
	}
	c.h = New(Config{
		Node: "frankfurt", Keys: c.keys, Assigner: &routing.Assigner{}, Origins: origins,
		Room: func(name string) (directory.Room, error) {
			switch {
			case c.down:
				return directory.Room{}, &wish.Error{Status: http.StatusServiceUnavailable, Detail: "the directory does not answer"}
			case name != "algebra":
				return directory.Room{}, directory.ErrUnknownRoom
			}
			return directory.Room{Name: name, Title: "Linear algebra", Home: "virginia", Epoch: 7}, nil
		},
		Members: func() []gossip.Member { return c.members },
		Locate:  func(netip.Addr) geo.Place { return c.place },
		Client:  func(*http.Request) netip.Addr { return netip.MustParseAddr("203.0.113.9") },
		Look:    func(context.Context, string) (bool, int) { return true, 12 },
	})
	return c
}

func newKeys(t *testing.T, cluster string) *ticket.Keys {
	t.Helper()
	pem, err := ticket.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ticket.ParseKeys(cluster, pem)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func token(t *testing.T, keys *ticket.Keys, room string, role ticket.Role, life time.Duration) string {
	t.Helper()
	raw, err := keys.SignToken(ticket.Token{Subject: "s-1", Name: "Ada", Room: room, Role: role, Expires: time.Now().Add(life)})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (c *class) student() string { return token(c.t, c.keys, "algebra", ticket.Student, time.Hour) }

func (c *class) do(method, path, bearer, body string) *httptest.ResponseRecorder {
	c.t.Helper()
	rq := httptest.NewRequest(method, path, strings.NewReader(body))
	if bearer != "" {
		rq.Header.Set("Authorization", "Bearer "+bearer)
	}
	w := httptest.NewRecorder()
	c.h.ServeHTTP(w, rq)
	return w
}

// join asks for a seat and expects one.
func (c *class) join(bearer, body string) Join {
	c.t.Helper()
	w := c.do(http.MethodPost, "/v1/rooms/algebra/join", bearer, body)
	var j Join
	if err := json.NewDecoder(w.Body).Decode(&j); err != nil || w.Code != http.StatusOK {
		c.t.Fatalf("join: %d %v", w.Code, err)
	}
	return j
}

var mumbai = geo.Place{Known: true, Source: "geoip", City: "Mumbai", Country: "IN", Point: geo.Point{Lat: 19.08, Lon: 72.88}}

func TestRefusals(t *testing.T) {
	const join, room = "/v1/rooms/algebra/join", "/v1/rooms/algebra"
	c := newClass(t)
	other := newKeys(t, "uni")
	long := `{"avoid":["` + strings.Repeat("x", maxBody) + `"]}`
	many := `{"avoid":[` + strings.TrimSuffix(strings.Repeat(`"n",`, maxAvoid+1), ",") + `]}`
	for name, q := range map[string]struct {
		method, path, bearer, body string
		status                     int
		detail                     string
	}{
		"no token":                       {"POST", join, "", "", 401, "no token was sent"},
		"no token for the room":          {"GET", room, "", "", 401, "no token was sent"},
		"not a token":                    {"POST", join, "hello", "", 401, "malformed"},
		"a token of other keys":          {"POST", join, token(t, other, "algebra", ticket.Student, time.Hour), "", 401, "not signed by this cluster"},
		"a token whose time is over":     {"POST", join, token(t, c.keys, "algebra", ticket.Student, -time.Hour), "", 401, "expired"},
		"a token for another room":       {"POST", join, token(t, c.keys, "physics", ticket.Student, time.Hour), "", 403, "another room"},
		"a ticket is not a token":        {"POST", join, ticketFor(t, c.keys), "", 401, "malformed"},
		"an unknown room":                {"POST", "/v1/rooms/physics/join", token(t, c.keys, "*", ticket.Student, time.Hour), "", 404, "physics: there is no such room"},
		"an unknown room to a stranger":  {"POST", "/v1/rooms/physics/join", "", "", 401, "no token was sent"},
		"no room's name":                 {"POST", "/v1/rooms/a%20b/join", c.student(), "", 404, "a room name is"},
		"a body that is no JSON":         {"POST", join, c.student(), "avoid=frankfurt", 400, "the body must be"},
		"a body of another shape":        {"POST", join, c.student(), `{"avoid":"frankfurt"}`, 400, "the body must be"},
		"a body that is too long":        {"POST", join, c.student(), long, 400, "the body must be"},
		"too many to avoid":              {"POST", join, c.student(), many, 400, "at most 16 nodes"},
		"all nodes to avoid":             {"POST", join, c.student(), `{"avoid":["frankfurt","singapore","virginia"]}`, 503, "no node can take"},
		"a path that leads nowhere":      {"GET", "/v1/room", c.student(), "", 404, "there is nothing at this path"},
		"a method that is not for joins": {"GET", join, c.student(), "", 404, "there is nothing at this path"},
	} {
		t.Run(name, func(t *testing.T) {
			w := c.do(q.method, q.path, q.bearer, q.body)
			var problem struct{ Detail string }
			if err := json.NewDecoder(w.Body).Decode(&problem); err != nil {
				t.Fatal(err)
			}
			if w.Code != q.status || !strings.Contains(problem.Detail, q.detail) {
				t.Errorf("%d %q, want %d %q", w.Code, problem.Detail, q.status, q.detail)
			}
			if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("type %q", got)
			}
			if w.Code == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
			if w.Code == http.StatusServiceUnavailable && w.Header().Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
		})
	}
}

func ticketFor(t *testing.T, keys *ticket.Keys) string {
	t.Helper()
	raw, err := keys.SignTicket(ticket.Ticket{
		Subject: "s-1", Room: "algebra", Node: "frankfurt", Role: ticket.Student, Action: ticket.Watch,
		Expires: time.Now().Add(30 * time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestJoinNamesTheNearestEdgeAndOthers(t *testing.T) {
	c := newClass(t)
	c.place = mumbai
	j := c.join(c.student(), "")
	if j.Edge.ID != "singapore" || j.Edge.Region != "ap-southeast" || j.Edge.URL != "https://singapore.example" {
		t.Errorf("edge %+v, want singapore", j.Edge)
	}
	if len(j.Fallbacks) != 2 || j.Fallbacks[0].ID != "frankfurt" || j.Fallbacks[1].ID != "virginia" {
		t.Errorf("fallbacks %+v, want frankfurt and virginia", j.Fallbacks)
	}
	if !strings.Contains(j.Why, "singapore") || !strings.Contains(j.Why, "km away") {
		t.Errorf("why: %q", j.Why)
	}
	if want := "https://singapore.example/whep/algebra/ticket/" + j.Ticket; j.WHEP != want {
		t.Errorf("whep %s, want %s", j.WHEP, want)
	}
}

func TestTheTicketIsGoodOnceAtTheEdgeAlone(t *testing.T) {
	c := newClass(t)
	c.place = mumbai
	j := c.join(c.student(), "")
	elsewhere := ticket.NewDesk(c.keys, "frankfurt", ticket.DeskConfig{})
	if _, err := elsewhere.Redeem(j.Ticket, "algebra", ticket.Watch, time.Now()); !errors.Is(err, ticket.ErrWrongNode) {
		t.Errorf("at another node: %v, want ErrWrongNode", err)
	}
	desk := ticket.NewDesk(c.keys, "singapore", ticket.DeskConfig{})
	if _, err := desk.Redeem(j.Ticket, "algebra", ticket.Publish, time.Now()); !errors.Is(err, ticket.ErrRole) {
		t.Errorf("to publish: %v, want ErrRole", err)
	}
	if _, err := desk.Redeem(j.Ticket, "algebra", ticket.Watch, time.Now().Add(2*time.Minute)); !errors.Is(err, ticket.ErrExpired) {
		t.Errorf("two minutes later: %v, want ErrExpired", err)
	}
	g, err := desk.Redeem(j.Ticket, "algebra", ticket.Watch, time.Now())
	want := ticket.Grant{Subject: "s-1", Name: "Ada", Room: "algebra", Role: ticket.Student, Action: ticket.Watch, Ticketed: true}
	if err != nil || g != want {
		t.Errorf("%+v (%v), want %+v", g, err, want)
	}
	if _, err := desk.Redeem(j.Ticket, "algebra", ticket.Watch, time.Now()); !errors.Is(err, ticket.ErrUsed) {
		t.Errorf("a second time: %v, want ErrUsed", err)
	}
}

func TestATeacherMayWatchAndATokenForAllRoomsOpensOne(t *testing.T) {
	c := newClass(t)
	c.join(token(t, c.keys, "algebra", ticket.Teacher, time.Hour), "")
	j := c.join(token(t, c.keys, ticket.AnyRoom, ticket.Student, time.Hour), "")
	g, err := ticket.NewDesk(c.keys, j.Edge.ID, ticket.DeskConfig{}).Redeem(j.Ticket, "algebra", ticket.Watch, time.Now())
	if err != nil || g.Room != "algebra" {
		t.Errorf("grant %+v (%v), want one for the room that was joined", g, err)
	}
}

func TestNodesThatFailedAreAvoided(t *testing.T) {
	c := newClass(t)
	c.place = mumbai
	j := c.join(c.student(), `{"avoid":["singapore"]}`)
	if j.Edge.ID != "frankfurt" || len(j.Fallbacks) != 1 || j.Fallbacks[0].ID != "virginia" {
		t.Errorf("edge %s and fallbacks %+v, want frankfurt and virginia", j.Edge.ID, j.Fallbacks)
	}
	j = c.join(c.student(), `{"avoid":["singapore","frankfurt"]}`)
	if j.Edge.ID != "virginia" || j.Fallbacks == nil || len(j.Fallbacks) != 0 {
		t.Errorf("edge %s and fallbacks %+v, want virginia and an empty list", j.Edge.ID, j.Fallbacks)
	}
}

func TestDrainingAndDeadNodesGetNobody(t *testing.T) {
	c := newClass(t)
	c.place = mumbai
	c.members[1].Draining = true
	c.members[0].Alive = false
	if j := c.join(c.student(), ""); j.Edge.ID != "virginia" || len(j.Fallbacks) != 0 {
		t.Errorf("edge %s and fallbacks %+v, want virginia alone", j.Edge.ID, j.Fallbacks)
	}
}

func TestAStudentOfUnknownPlaceIsServedWhereTheyAsked(t *testing.T) {
	c := newClass(t)
	if j := c.join(c.student(), ""); j.Edge.ID != "frankfurt" || !strings.Contains(j.Why, "not known") {
		t.Errorf("edge %s because %q, want frankfurt, which was asked", j.Edge.ID, j.Why)
	}
}

func TestRoomIsShownToThoseWhoMayWatch(t *testing.T) {
	c := newClass(t)
	w := c.do(http.MethodGet, "/v1/rooms/algebra", c.student(), "")
	var got Room
	if err := json.NewDecoder(w.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if want := (Room{Room: "algebra", Title: "Linear algebra", Home: "virginia", Live: true, Students: 12}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if w.Header().Get("Cache-Control") != "no-store" {
		t.Error("what holds for one moment and one person may be cached")
	}
}

func TestADirectoryThatDoesNotAnswerIsNoMissingRoom(t *testing.T) {
	c := newClass(t)
	c.down = true
	if w := c.do(http.MethodPost, "/v1/rooms/algebra/join", c.student(), ""); w.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503: a client takes 404 as final", w.Code)
	}
}

func TestPagesOfAllowedOriginsAlone(t *testing.T) {
	for name, q := range map[string]struct {
		origins      []string
		origin, want string
	}{
		"any":          {nil, "https://lms.example", "*"},
		"allowed":      {[]string{"https://lms.example"}, "https://lms.example", "https://lms.example"},
		"not allowed":  {[]string{"https://lms.example"}, "https://evil.example", ""},
		"not a prefix": {[]string{"https://lms.example"}, "https://lms.example.evil", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClass(t, q.origins...)
			for _, method := range []string{http.MethodOptions, http.MethodPost} {
				rq := httptest.NewRequest(method, "/v1/rooms/algebra/join", nil)
				rq.Header.Set("Origin", q.origin)
				w := httptest.NewRecorder()
				c.h.ServeHTTP(w, rq)
				if got := w.Header().Get("Access-Control-Allow-Origin"); got != q.want {
					t.Errorf("%s: allowed origin %q, want %q", method, got, q.want)
				}
				if q.origins != nil && w.Header().Get("Vary") != "Origin" {
					t.Errorf("%s: an answer that depends on Origin does not say so", method)
				}
			}
		})
	}
}

func TestPreflightNeedsNoToken(t *testing.T) {
	w := newClass(t).do(http.MethodOptions, "/v1/rooms/algebra/join", "", "")
	if w.Code != http.StatusNoContent || !strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "Authorization") ||
		!strings.Contains(w.Header().Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func FuzzJoinBody(f *testing.F) {
	for _, body := range []string{"", "{}", `{"avoid":["a"]}`, `{"avoid":null}`, "[", `{"avoid":[1]}`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		list, err := avoided(&http.Request{Body: io.NopCloser(strings.NewReader(body))})
		if len(list) > maxAvoid {
			t.Errorf("%d nodes from %q", len(list), body)
		}
		if e, ok := errors.AsType[*wish.Error](err); err != nil && (!ok || e.Status != http.StatusBadRequest) {
			t.Error(fmt.Errorf("not a refusal: %w", err))
		}
	})
}
