package fan

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestStudentComesBackWhenTold(t *testing.T) {
	refusals := 2
	status := http.StatusServiceUnavailable
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer seat" || r.Header.Get("Content-Type") != "application/sdp" {
			t.Errorf("the request has %v", r.Header)
		}
		if refusals--; refusals >= 0 {
			w.Header().Set("Retry-After", "0")
			http.Error(w, "too many at once", status)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte("answer")) // a client that is gone fails the test below
	}))
	defer srv.Close()
	s := &student{offer: "offer"}
	if a, err := s.ask(t.Context(), srv.Client(), srv.URL, "seat"); a != "answer" || err != nil || s.refused.Load() != 2 {
		t.Errorf("%q, %v, refused %d times", a, err, s.refused.Load())
	}
	refusals, status = 1, http.StatusForbidden
	if _, err := s.ask(t.Context(), srv.Client(), srv.URL, "seat"); err == nil || !strings.Contains(err.Error(), "too many at once") {
		t.Errorf("a refusal for good: %v", err)
	}
}
