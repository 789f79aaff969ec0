package page

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func newHandler(t *testing.T, cfg Config) http.Handler {
	t.Helper()
	h, err := New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return h
}

func get(t *testing.T, h http.Handler, target string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("read the body: %v", err)
	}
	return string(data)
}

func TestEveryPageIsTheSameShell(t *testing.T) {
	h := newHandler(t, Config{})
	front := get(t, h, "/")
	shell := body(t, front)
	if !strings.Contains(shell, `<div id="app">`) {
		t.Fatalf("the shell has no place for the page:\n%s", shell)
	}
	for _, target := range []string{"/teach/demo", "/watch/demo", "/watch/physics%20101"} {
		res := get(t, h, target)
		if res.StatusCode != http.StatusOK || body(t, res) != shell {
			t.Errorf("GET %s: status %d or another document than /", target, res.StatusCode)
		}
		if got := res.Header.Get("Cache-Control"); got != "no-cache" {
			t.Errorf("GET %s: Cache-Control %q, want no-cache", target, got)
		}
		if got := res.Header.Get("Content-Type"); got != "text/html; charset=utf-8" {
			t.Errorf("GET %s: Content-Type %q", target, got)
		}
	}
}

func TestOtherPathsAndMethodsAreRefused(t *testing.T) {
	h := newHandler(t, Config{})
	for _, target := range []string{"/teach", "/teach/", "/teach/a/b", "/watch/", "/index.html", "/assets/", "/assets/none.js", "/assets/..%2findex.html", "/v1/rooms/demo", "/favicon.ico"} {
		if res := get(t, h, target); res.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: status %d, want 404", target, res.StatusCode)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/watch/demo", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST /watch/demo: status %d, want 405", w.Code)
	}
}

func TestEveryAnswerCarriesTheGuardingHeaders(t *testing.T) {
	h := newHandler(t, Config{FrameAncestors: []string{"'self'", "https://*.example.edu"}})
	for _, target := range []string{"/", "/teach/demo", "/assets/none.js"} {
		res := get(t, h, target)
		policy := res.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'self'", "connect-src *", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'self' https://*.example.edu"} {
			if !strings.Contains(policy, want) {
				t.Errorf("GET %s: policy %q lacks %q", target, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("GET %s: policy %q allows something unsafe", target, policy)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff",
			"Referrer-Policy":        "no-referrer",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("GET %s: %s %q, want %q", target, name, got, want)
			}
		}
		for _, want := range []string{"camera=(self)", "microphone=(self)", "display-capture=(self)"} {
			if got := res.Header.Get("Permissions-Policy"); !strings.Contains(got, want) {
				t.Errorf("GET %s: Permissions-Policy %q lacks %q", target, got, want)
			}
		}
	}
	if policy := get(t, newHandler(t, Config{}), "/").Header.Get("Content-Security-Policy"); !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("without configuration frames are allowed: %q", policy)
	}
}

var reference = regexp.MustCompile(`(?:src|href)="([^"]+)"`)

func TestTheShellReferencesOnlyWhatIsEmbedded(t *testing.T) {
	h := newHandler(t, Config{})
	shell := body(t, get(t, h, "/"))
	found := reference.FindAllStringSubmatch(shell, -1)
	if len(found) < 2 {
		t.Fatalf("the shell references %d files, want a script and a style at least", len(found))
	}
	for _, match := range found {
		if !strings.HasPrefix(match[1], "/assets/") {
			t.Errorf("%s is not an embedded asset", match[1])
			continue
		}
		res := get(t, h, match[1])
		if res.StatusCode != http.StatusOK {
			t.Errorf("GET %s: status %d", match[1], res.StatusCode)
		}
		if got := res.Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
			t.Errorf("GET %s: Cache-Control %q, want immutable", match[1], got)
		}
	}
}

var inline = regexp.MustCompile(`(?s)<script(?:[^>]*)>(.*?)</script>`)

func TestNothingInTheShellIsInline(t *testing.T) {
	shell := body(t, get(t, newHandler(t, Config{}), "/"))
	for _, match := range inline.FindAllStringSubmatch(shell, -1) {
		if strings.TrimSpace(match[1]) != "" {
			t.Errorf("inline script, which the policy would block: %s", match[1])
		}
	}
	for _, bad := range []string{"<style", "style=", "onload=", "onclick="} {
		if strings.Contains(shell, bad) {
			t.Errorf("the shell contains %q, which the policy would block", bad)
		}
	}
}

func TestTheChunksNameOnlyWhatIsEmbedded(t *testing.T) {
	files, err := load(built)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	chunk := regexp.MustCompile("[\"'`](?:\\./|/assets/|assets/)([A-Za-z0-9_.-]+\\.(?:js|css))[\"'`]")
	for name, f := range files {
		if !strings.HasSuffix(name, ".js") {
			continue
		}
		for _, match := range chunk.FindAllSubmatch(f.plain, -1) {
			if _, ok := files["assets/"+string(match[1])]; !ok {
				t.Errorf("%s names %s, which is not in dist: run `npm run build`", name, match[1])
			}
		}
	}
}

func TestCompressedWhereTheBrowserCan(t *testing.T) {
	h := newHandler(t, Config{})
	plain := body(t, get(t, h, "/"))
	for _, accept := range []string{"gzip, deflate, br", "br;q=1.0, gzip;q=0.8"} {
		res := get(t, h, "/", "Accept-Encoding", accept)
		if res.Header.Get("Content-Encoding") != "gzip" || res.Header.Get("Vary") != "Accept-Encoding" {
			t.Fatalf("Accept-Encoding %q: Content-Encoding %q, Vary %q", accept, res.Header.Get("Content-Encoding"), res.Header.Get("Vary"))
		}
		reader, err := gzip.NewReader(bytes.NewReader([]byte(body(t, res))))
		if err != nil {
			t.Fatalf("gzip: %v", err)
		}
		unpacked, err := io.ReadAll(reader)
		if err != nil || string(unpacked) != plain {
			t.Errorf("Accept-Encoding %q: another document than the plain one (%v)", accept, err)
		}
	}
	for _, accept := range []string{"", "br", "gzip;q=0"} {
		if res := get(t, h, "/", "Accept-Encoding", accept); res.Header.Get("Content-Encoding") != "" {
			t.Errorf("Accept-Encoding %q is answered compressed", accept)
		}
	}
}

func TestAnUnchangedPageCostsNothing(t *testing.T) {
	h := newHandler(t, Config{})
	tag := get(t, h, "/").Header.Get("ETag")
	if res := get(t, h, "/watch/demo", "If-None-Match", tag); res.StatusCode != http.StatusNotModified {
		t.Errorf("status %d, want 304", res.StatusCode)
	}
}

func TestConfigRefusesWhatNoBrowserUnderstands(t *testing.T) {
	for _, good := range []string{"'self'", "https://lms.example.edu", "https://*.example.edu", "http://localhost:8080"} {
		if err := (Config{FrameAncestors: []string{good}}).Validate(); err != nil {
			t.Errorf("%q is refused: %v", good, err)
		}
	}
	for _, bad := range []string{"", "lms.example.edu", "https://", "https://a/b", "ftp://a", "https://a; script-src *", "https://a b", "*", "https://a*b"} {
		if err := (Config{FrameAncestors: []string{bad}}).Validate(); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	if _, err := New(Config{FrameAncestors: []string{"nonsense"}}); err == nil {
		t.Error("New accepts a configuration that Validate refuses")
	}
}
