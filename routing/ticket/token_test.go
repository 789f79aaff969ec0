package ticket

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestTokenSaysWhatWasSigned(t *testing.T) {
	k, _ := newKeys(t)
	now := time.Now().Truncate(time.Second)
	want := sampleToken(now)
	want.ID = "id-1"
	raw, err := k.SignToken(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := k.CheckToken(raw, now)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Expires.Equal(want.Expires) {
		t.Errorf("expires %s, want %s", got.Expires, want.Expires)
	}
	got.Expires = want.Expires
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestTokensWithoutIDGetDifferentOnes(t *testing.T) {
	k, _ := newKeys(t)
	seen := map[string]bool{}
	for range 3 {
		raw, err := k.SignToken(sampleToken(time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.CheckToken(raw, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		seen[got.ID] = true
	}
	if len(seen) != 3 || seen[""] {
		t.Errorf("ids %v", seen)
	}
}

func TestSignTokenRefusesWhatCheckTokenWould(t *testing.T) {
	k, _ := newKeys(t)
	for name, change := range map[string]func(*Token){
		"no subject":        func(t *Token) { t.Subject = "" },
		"long subject":      func(t *Token) { t.Subject = strings.Repeat("x", 129) },
		"control character": func(t *Token) { t.Name = "a\x1b[31m" },
		"hidden direction":  func(t *Token) { t.Name = "a\u202eb" },
		"not utf-8":         func(t *Token) { t.Name = "\xff" },
		"no room":           func(t *Token) { t.Room = "" },
		"strange room":      func(t *Token) { t.Room = "../etc" },
		"no role":           func(t *Token) { t.Role = "" },
		"strange role":      func(t *Token) { t.Role = "root" },
		"no end":            func(t *Token) { t.Expires = time.Time{} },
	} {
		t.Run(name, func(t *testing.T) {
			tok := sampleToken(time.Now())
			change(&tok)
			if _, err := k.SignToken(tok); err == nil {
				t.Error("it was signed")
			}
		})
	}
}

// forge signs any header and body with a key, as an attacker or another program would.
func forge(t testing.TB, method jwt.SigningMethod, key any, header map[string]any, body jwt.MapClaims) string {
	t.Helper()
	tok := jwt.NewWithClaims(method, body)
	maps.Copy(tok.Header, header)
	maps.DeleteFunc(tok.Header, func(_ string, v any) bool { return v == nil })
	raw, err := tok.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestBadTokensAreRefusedWithTheirReason(t *testing.T) {
	k, _ := newKeys(t)
	stranger, _ := newKeys(t)
	now := time.Now()
	kid := map[string]any{"kid": k.signerID}
	body := func(change func(jwt.MapClaims)) jwt.MapClaims {
		m := jwt.MapClaims{
			"iss": issuer, "aud": cluster, "sub": "s", "exp": now.Add(time.Hour).Unix(), "jti": "1",
			"room": "r", "role": "student",
		}
		if change != nil {
			change(m)
		}
		return m
	}
	good := forge(t, jwt.SigningMethodEdDSA, k.signer, kid, body(nil))
	if _, err := k.CheckToken(good, now); err != nil {
		t.Fatalf("the token that the bad ones are made from: %v", err)
	}
	ed := func(change func(jwt.MapClaims)) string {
		return forge(t, jwt.SigningMethodEdDSA, k.signer, kid, body(change))
	}
	edHeader := func(header map[string]any) string {
		return forge(t, jwt.SigningMethodEdDSA, k.signer, header, body(nil))
	}
	parts := strings.Split(good, ".")
	public := []byte(k.signer.Public().(ed25519.PublicKey))
	for name, c := range map[string]struct {
		raw  string
		want error
	}{
		"nothing":                   {"", ErrMissing},
		"not a token":               {"hello", ErrMalformed},
		"two dots":                  {"..", ErrMalformed},
		"10 kB":                     {strings.Repeat("a", 10<<10), ErrMalformed},
		"10 kB of dots":             {strings.Repeat(".", 10<<10), ErrMalformed},
		"truncated":                 {good[:len(good)-10], ErrSignature},
		"no signature":              {parts[0] + "." + parts[1] + ".", ErrSignature},
		"body changed":              {parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"role":"admin","room":"*"}`)) + "." + parts[2], ErrSignature},
		"alg none":                  {forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, kid, body(nil)), ErrSignature},
		"HS256 with the public key": {forge(t, jwt.SigningMethodHS256, public, kid, body(nil)), ErrSignature},
		"HS256 with the public PEM": {forge(t, jwt.SigningMethodHS256, publicBlock(t, k), kid, body(nil)), ErrSignature},
		"unknown key":               {forge(t, jwt.SigningMethodEdDSA, stranger.signer, map[string]any{"kid": stranger.signerID}, body(nil)), ErrSignature},
		"another key's id":          {forge(t, jwt.SigningMethodEdDSA, stranger.signer, kid, body(nil)), ErrSignature},
		"no key id":                 {edHeader(nil), ErrSignature},
		"key id is a number":        {edHeader(map[string]any{"kid": 7}), ErrSignature},
		"a ticket":                  {edHeader(map[string]any{"kid": k.signerID, "typ": typeTicket}), ErrMalformed},
		"type is a list":            {edHeader(map[string]any{"kid": k.signerID, "typ": []string{"JWT"}}), ErrMalformed},
		"critical extension":        {edHeader(map[string]any{"kid": k.signerID, "crit": []string{"b64"}}), ErrMalformed},
		"no exp":                    {ed(func(m jwt.MapClaims) { delete(m, "exp") }), ErrMalformed},
		"exp is a text":             {ed(func(m jwt.MapClaims) { m["exp"] = "tomorrow" }), ErrMalformed},
		"expired":                   {ed(func(m jwt.MapClaims) { m["exp"] = now.Add(-time.Minute).Unix() }), ErrExpired},
		"nbf to come":               {ed(func(m jwt.MapClaims) { m["nbf"] = now.Add(time.Minute).Unix() }), ErrEarly},
		"another cluster":           {ed(func(m jwt.MapClaims) { m["aud"] = "campus" }), ErrSignature},
		"no cluster":                {ed(func(m jwt.MapClaims) { delete(m, "aud") }), ErrMalformed},
		"another issuer":            {ed(func(m jwt.MapClaims) { m["iss"] = "somebody" }), ErrSignature},
		"no subject":                {ed(func(m jwt.MapClaims) { delete(m, "sub") }), ErrMalformed},
		"no id":                     {ed(func(m jwt.MapClaims) { delete(m, "jti") }), ErrMalformed},
		"no room":                   {ed(func(m jwt.MapClaims) { delete(m, "room") }), ErrMalformed},
		"strange role":              {ed(func(m jwt.MapClaims) { m["role"] = "root" }), ErrMalformed},
		"control characters":        {ed(func(m jwt.MapClaims) { m["name"] = "a\nb" }), ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := k.CheckToken(c.raw, now); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestHeaderWithoutTypeIsAToken(t *testing.T) {
	k, _ := newKeys(t)
	raw := forge(t, jwt.SigningMethodEdDSA, k.signer, map[string]any{"kid": k.signerID, "typ": nil}, jwt.MapClaims{
		"iss": issuer, "aud": []string{"x", cluster}, "sub": "s", "exp": time.Now().Add(time.Hour).Unix(), "jti": "1",
		"room": AnyRoom, "role": "admin",
	})
	if _, err := k.CheckToken(raw, time.Now()); err != nil {
		t.Error(err)
	}
}

func TestLeewayForgivesClocks(t *testing.T) {
	k, _ := newKeys(t)
	now := time.Now()
	tok := sampleToken(now)
	tok.Expires = now.Add(-10 * time.Second)
	raw, err := k.SignToken(tok)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.CheckToken(raw, now); err != nil {
		t.Errorf("10 s over with the default leeway: %v", err)
	}
	if _, err := k.CheckToken(raw, now.Add(DefaultLeeway)); !errors.Is(err, ErrExpired) {
		t.Errorf("40 s over: %v", err)
	}
	if _, err := k.WithLeeway(0).CheckToken(raw, now); !errors.Is(err, ErrExpired) {
		t.Errorf("10 s over without leeway: %v", err)
	}
}

func TestAuthorizeAsksForRoomAndRole(t *testing.T) {
	k, _ := newKeys(t)
	now := time.Now()
	for name, c := range map[string]struct {
		tokenRoom string
		role      Role
		room      string
		action    Action
		want      error
	}{
		"teacher publishes":              {"r", Teacher, "r", Publish, nil},
		"assistant publishes":            {"r", Assistant, "r", Publish, nil},
		"student watches":                {"r", Student, "r", Watch, nil},
		"student publishes":              {"r", Student, "r", Publish, ErrRole},
		"observer publishes":             {"r", Observer, "r", Publish, ErrRole},
		"recorder watches":               {"r", Recorder, "r", Watch, nil},
		"admin watches any room":         {AnyRoom, Admin, "other", Watch, nil},
		"admin does not publish":         {AnyRoom, Admin, "other", Publish, ErrRole},
		"another room":                   {"r", Teacher, "q", Publish, ErrWrongRoom},
		"room names have their own case": {"r", Teacher, "R", Publish, ErrWrongRoom},
		"any room is no room":            {AnyRoom, Teacher, AnyRoom, Watch, ErrRoomName},
		"unknown action":                 {"r", Teacher, "r", "delete", ErrRole},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := k.SignToken(Token{Subject: "s", Name: "N", Room: c.tokenRoom, Role: c.role, Expires: now.Add(time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			g, err := k.Authorize(raw, c.room, c.action, now)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if want := (Grant{Subject: "s", Name: "N", Room: c.room, Role: c.role, Action: c.action}); err == nil && g != want {
				t.Errorf("got %+v, want %+v", g, want)
			}
		})
	}
}

func TestRoomNames(t *testing.T) {
	for _, good := range []string{"a", "Physics_101-b", strings.Repeat("x", 64)} {
		if err := ValidRoom(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", strings.Repeat("x", 65), "a b", "a/b", "..", "é", "a\n", "*", "a\x00"} {
		if err := ValidRoom(bad); !errors.Is(err, ErrRoomName) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

// FuzzCheckToken signs the fuzzed body, so that what follows the signature is reached too.
func FuzzCheckToken(f *testing.F) {
	k, _ := newKeys(f)
	now := time.Now()
	good, err := k.SignToken(sampleToken(now))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, `{"iss":"lyceum","aud":"demo","sub":"s","exp":1e300,"jti":"1","room":"r","role":"student"}`)
	f.Add("a.b.c", `{"aud":["demo",7],"exp":null}`)
	f.Add("eyJhbGciOiJub25lIn0.e30.", `[]`)
	desk := NewDesk(k, "n1", DeskConfig{MaxUsed: 16})
	f.Fuzz(func(t *testing.T, raw, body string) {
		check := func(raw string) {
			tok, err := k.CheckToken(raw, now)
			if err == nil && (tok.validate() != nil || tok.Expires.Before(now.Add(-DefaultLeeway))) {
				t.Errorf("accepted %+v", tok)
			}
			if err != nil && !isReason(err) {
				t.Errorf("%v is none of the reasons", err)
			}
			if _, err := desk.Redeem(raw, "r", Watch, now); err != nil && !isReason(err) {
				t.Errorf("%v is none of the reasons", err)
			}
		}
		check(raw)
		for _, typ := range []string{typeToken, typeTicket} {
			head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"` + k.signerID + `","typ":"` + typ + `"}`))
			text := head + "." + base64.RawURLEncoding.EncodeToString([]byte(body))
			check(text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(k.signer, []byte(text))))
		}
	})
}

func isReason(err error) bool {
	for _, s := range []error{
		ErrMissing, ErrMalformed, ErrSignature, ErrExpired, ErrEarly, ErrUsed, ErrWrongNode, ErrWrongRoom, ErrRole, ErrBusy,
	} {
		if errors.Is(err, s) {
			return true
		}
	}
	return false
}

func BenchmarkCheckToken(b *testing.B) {
	k, _ := newKeys(b)
	now := time.Now()
	raw, err := k.SignToken(sampleToken(now))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.CheckToken(raw, now); err != nil {
			b.Fatal(err)
		}
	}
}
