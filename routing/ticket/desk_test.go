package ticket

import (
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func sampleTicket(now time.Time) Ticket {
	return Ticket{
		Subject: "seat-7", Name: "Asha", Room: "r", Node: "sin-1", Role: Student, Action: Watch,
		Expires: now.Add(MaxLifetime),
	}
}

func signTicket(t testing.TB, k *Keys, tk Ticket) string {
	t.Helper()
	raw, err := k.SignTicket(tk)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestTicketIsRedeemedOnce(t *testing.T) {
	k, _ := newKeys(t)
	reg := prometheus.NewRegistry()
	d := NewDesk(k, "sin-1", DeskConfig{Registerer: reg})
	now := time.Now()
	raw := signTicket(t, k, sampleTicket(now))
	if url.PathEscape(raw) != raw || len(raw) > 512 {
		t.Errorf("not fit for a path: %d bytes, %s", len(raw), raw)
	}
	g, err := d.Redeem(raw, "r", Watch, now)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Grant{Subject: "seat-7", Name: "Asha", Room: "r", Role: Student, Action: Watch, Ticketed: true}); g != want {
		t.Errorf("got %+v, want %+v", g, want)
	}
	if _, err := d.Redeem(raw, "r", Watch, now); !errors.Is(err, ErrUsed) {
		t.Errorf("second time: %v", err)
	}
	if _, err := d.Redeem(raw, "r", Watch, now.Add(MaxLifetime+DefaultLeeway+time.Second)); !errors.Is(err, ErrExpired) {
		t.Errorf("after its end: %v", err)
	}
	for result, want := range map[string]float64{"ok": 1, "used": 1, "expired": 1} {
		if got := testutil.ToFloat64(d.metrics.redeemed.WithLabelValues(result)); got != want {
			t.Errorf("metric %s: got %v, want %v", result, got, want)
		}
	}
	if n, err := testutil.GatherAndCount(reg); err != nil || n != 4 {
		t.Errorf("%d metrics, %v", n, err)
	}
}

func TestBadTicketsAreRefusedWithTheirReason(t *testing.T) {
	k, _ := newKeys(t)
	stranger, _ := newKeys(t)
	d := NewDesk(k, "sin-1", DeskConfig{})
	now := time.Now()
	change := func(f func(*Ticket)) string {
		tk := sampleTicket(now)
		f(&tk)
		return signTicket(t, k, tk)
	}
	token, err := k.SignToken(Token{Subject: "s", Room: "r", Role: Student, Expires: now.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	long := forge(t, jwt.SigningMethodEdDSA, k.signer, map[string]any{"kid": k.signerID, "typ": typeTicket}, jwt.MapClaims{
		"iss": issuer, "aud": cluster, "sub": "s", "exp": now.Add(time.Hour).Unix(), "jti": "1",
		"room": "r", "role": "student", "node": "sin-1", "act": "watch",
	})
	for name, c := range map[string]struct {
		raw  string
		want error
	}{
		"nothing":           {"", ErrMissing},
		"a token":           {token, ErrMalformed},
		"another node":      {change(func(t *Ticket) { t.Node = "fra-1" }), ErrWrongNode},
		"another room":      {change(func(t *Ticket) { t.Room = "q" }), ErrWrongRoom},
		"another action":    {change(func(t *Ticket) { t.Role, t.Action = Teacher, Publish }), ErrRole},
		"expired":           {change(func(t *Ticket) { t.Expires = now.Add(-time.Minute) }), ErrExpired},
		"stranger's key":    {signTicket(t, stranger, sampleTicket(now)), ErrSignature},
		"lives for an hour": {long, ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := d.Redeem(c.raw, "r", Watch, now); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	raw := signTicket(t, k, sampleTicket(now))
	if _, err := k.CheckToken(raw, now); !errors.Is(err, ErrMalformed) {
		t.Errorf("a ticket passes for a token: %v", err)
	}
	if _, err := d.Redeem(raw, "q", Watch, now); !errors.Is(err, ErrWrongRoom) {
		t.Error(err)
	}
	if _, err := d.Redeem(raw, "r", Watch, now); err != nil {
		t.Errorf("a ticket that was refused for its room is used up: %v", err)
	}
}

func TestSignTicketKeepsTicketsShortAndNarrow(t *testing.T) {
	k, _ := newKeys(t)
	for name, change := range map[string]func(*Ticket){
		"long life":        func(t *Ticket) { t.Expires = time.Now().Add(2 * MaxLifetime) },
		"no end":           func(t *Ticket) { t.Expires = time.Time{} },
		"any room":         func(t *Ticket) { t.Room = AnyRoom },
		"no node":          func(t *Ticket) { t.Node = "" },
		"no action":        func(t *Ticket) { t.Action = "" },
		"more than a role": func(t *Ticket) { t.Action = Publish },
	} {
		t.Run(name, func(t *testing.T) {
			tk := sampleTicket(time.Now())
			change(&tk)
			if _, err := k.SignTicket(tk); err == nil {
				t.Error("it was signed")
			}
		})
	}
}

func TestGrantIsHandedOverByTicket(t *testing.T) {
	k, _ := newKeys(t)
	now := time.Now()
	g := Grant{Subject: "s", Name: "N", Room: "r", Role: Teacher, Action: Publish}
	raw := signTicket(t, k, g.Ticket("fra-1", now.Add(30*time.Second)))
	got, err := NewDesk(k, "fra-1", DeskConfig{}).Redeem(raw, "r", Publish, now)
	if err != nil {
		t.Fatal(err)
	}
	if g.Ticketed = true; got != g {
		t.Errorf("got %+v, want %+v", got, g)
	}
}

func TestFullDeskRefusesUntilTicketsExpire(t *testing.T) {
	k, _ := newKeys(t)
	d := NewDesk(k, "sin-1", DeskConfig{MaxUsed: 2, Leeway: time.Second})
	now := time.Now().Truncate(time.Second)
	redeem := func(expires, at time.Time) (string, error) {
		tk := sampleTicket(now)
		tk.Expires = expires
		raw := signTicket(t, k, tk)
		_, err := d.Redeem(raw, "r", Watch, at)
		return raw, err
	}
	late, err := redeem(now.Add(50*time.Second), now)
	if err != nil {
		t.Fatal(err)
	}
	early, err := redeem(now.Add(10*time.Second), now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := redeem(now.Add(50*time.Second), now); !errors.Is(err, ErrBusy) {
		t.Fatalf("third of two: %v", err)
	}
	if _, err := redeem(now.Add(50*time.Second), now.Add(11*time.Second)); err != nil {
		t.Fatalf("after one has expired: %v", err)
	}
	if _, err := d.Redeem(late, "r", Watch, now.Add(11*time.Second)); !errors.Is(err, ErrUsed) {
		t.Errorf("the later one is forgotten: %v", err)
	}
	if _, err := d.Redeem(early, "r", Watch, now); !errors.Is(err, ErrExpired) {
		t.Errorf("a forgotten ticket is redeemed again when the clock goes back: %v", err)
	}
}

func TestOneOfManyAtOnceRedeemsATicket(t *testing.T) {
	k, _ := newKeys(t)
	d := NewDesk(k, "sin-1", DeskConfig{})
	now := time.Now()
	const tickets, racers = 20, 8
	var won [tickets]atomic.Int32
	var wg sync.WaitGroup
	for i := range tickets {
		tk := sampleTicket(now)
		tk.ID = fmt.Sprint("t", i)
		raw := signTicket(t, k, tk)
		for range racers {
			wg.Go(func() {
				switch _, err := d.Redeem(raw, "r", Watch, now); {
				case err == nil:
					won[i].Add(1)
				case !errors.Is(err, ErrUsed):
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for i := range won {
		if n := won[i].Load(); n != 1 {
			t.Errorf("ticket %d was redeemed %d times", i, n)
		}
	}
}

func TestDeskConfigSpeaksToTheOperator(t *testing.T) {
	for _, bad := range []DeskConfig{{Leeway: -1}, {Leeway: time.Hour}, {MaxUsed: -1}} {
		if bad.Validate() == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
	if err := (&DeskConfig{}).Validate(); err != nil {
		t.Error(err)
	}
}
