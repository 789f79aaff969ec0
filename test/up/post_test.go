package up

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"lyceum/routing/ticket"
)

// mumbai is an address of a university there.
const mumbai = "202.141.1.1"

// offer is what a browser sends that wants to watch, or to teach.
func offer(t *testing.T, direction webrtc.RTPTransceiverDirection) string {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: direction}); err != nil {
			t.Fatal(err)
		}
	}
	sdp, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	return sdp.SDP
}

// post sends an offer and follows no redirect.
func post(t *testing.T, url, token, body string, header ...string) *http.Response {
	t.Helper()
	rq, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	rq.Header.Set("Content-Type", "application/sdp")
	if token != "" {
		rq.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		rq.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	rsp, err := client.Do(rq)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rsp.Body.Close() })
	return rsp
}

// refused expects a status and a sentence.
func refused(t *testing.T, rsp *http.Response, status int, sentence string) {
	t.Helper()
	var problem struct{ Title, Detail string }
	if err := json.NewDecoder(rsp.Body).Decode(&problem); err != nil {
		t.Fatalf("%s: %v", rsp.Status, err)
	}
	if rsp.StatusCode != status || !strings.Contains(problem.Detail, sentence) {
		t.Errorf("%s %q, want %d %q", rsp.Status, problem.Detail, status, sentence)
	}
}

// sentOn expects a redirect to a ticket at a node and returns where to.
func sentOn(t *testing.T, rsp *http.Response, prefix string) string {
	t.Helper()
	to := rsp.Header.Get("Location")
	if rsp.StatusCode != http.StatusTemporaryRedirect || !strings.HasPrefix(to, prefix+"/ticket/") {
		t.Fatalf("%s to %q, want 307 to %s/ticket/...", rsp.Status, to, prefix)
	}
	if rsp.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(rsp.Header.Get("Access-Control-Expose-Headers"), "Location") {
		t.Errorf("a page cannot follow the redirect: %v", rsp.Header)
	}
	return to
}

// created expects a session and returns its URL, which the test's end deletes.
func created(t *testing.T, rsp *http.Response, prefix string) string {
	t.Helper()
	session := rsp.Header.Get("Location")
	if rsp.StatusCode != http.StatusCreated || !strings.HasPrefix(session, prefix+"/session/") {
		t.Fatalf("%s at %q, want 201 at %s/session/...", rsp.Status, session, prefix)
	}
	if rsp.Header.Get("ETag") == "" || rsp.Header.Get("Content-Type") != "application/sdp" {
		t.Errorf("headers %v, want an ETag and SDP", rsp.Header)
	}
	return session
}

func remove(t *testing.T, session string) {
	t.Helper()
	rq, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, session, nil)
	if err != nil {
		t.Fatal(err)
	}
	rsp, err := http.DefaultClient.Do(rq)
	if err != nil {
		t.Fatal(err)
	}
	_ = rsp.Body.Close()
	if rsp.StatusCode != http.StatusOK {
		t.Errorf("DELETE: %s", rsp.Status)
	}
}

// keys are those of a running mesh.
func keys(t *testing.T, m *Mesh) *ticket.Keys {
	t.Helper()
	k, err := ticket.LoadKeys("local", m.Data+"/pki/tokens.pem")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func token(t *testing.T, m *Mesh, room string, role ticket.Role, life time.Duration) string {
	t.Helper()
	raw, err := keys(t, m).SignToken(ticket.Token{Subject: "test", Room: room, Role: role, Expires: time.Now().Add(life)})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
