package pki

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCertificateIsRenewedWhileItIsInUse(t *testing.T) {
	a := authority(t, "demo")
	ca, _ := a.PEM()
	dir := t.TempDir()
	write := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	issue := func(a *Authority, node string, life time.Duration) (cert, key []byte) {
		t.Helper()
		cert, key, err := a.Issue(node, life)
		if err != nil {
			t.Fatal(err)
		}
		return cert, key
	}
	cert, key := issue(a, "fra", time.Hour)
	write("ca", ca)
	write("cert", cert)
	write("key", key)
	id, err := LoadIdentity(filepath.Join(dir, "ca"), filepath.Join(dir, "cert"), filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	peer := identity(t, a, "sin", time.Hour)
	// The configurations are made before the renewal, as a listener's and a dialler's are.
	server, client := id.ServerTLS("x"), id.ClientTLS("sin", "x")
	shown := func() (byServer, byClient time.Time) {
		t.Helper()
		_, clientErr, serverErr := handshake(t, peer.ClientTLS("fra", "x"), server)
		if clientErr != nil || serverErr != nil {
			t.Fatal(clientErr, serverErr)
		}
		cs, clientErr, serverErr := handshake(t, client, peer.ServerTLS("x"))
		if clientErr != nil || serverErr != nil {
			t.Fatal(clientErr, serverErr)
		}
		leaf, err := server.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return leaf.Leaf.NotAfter, cs.PeerCertificates[0].NotAfter
	}
	before, _ := shown()
	if renewed, err := id.Renew(); renewed || err != nil {
		t.Fatalf("nothing has changed: %v, %v", renewed, err)
	}

	later, laterKey := issue(a, "fra", 48*time.Hour)
	write("cert", later)
	if renewed, err := id.Renew(); renewed || err == nil || !strings.Contains(err.Error(), "certificate and key") {
		t.Fatalf("half of a new pair: %v, %v", renewed, err)
	}
	shown() // the old pair stays
	write("key", laterKey)
	if renewed, err := id.Renew(); !renewed || err != nil {
		t.Fatalf("%v, %v", renewed, err)
	}
	s, c := shown()
	if !s.After(before.Add(24*time.Hour)) || !c.Equal(s) || !id.Expires().Equal(s) {
		t.Fatalf("shown are certificates until %v and %v, before until %v", s, c, before)
	}

	for what, wrong := range map[string]func() (cert, key []byte){
		"node iad":                     func() ([]byte, []byte) { return issue(a, "iad", 0) },
		"cluster campus":               func() ([]byte, []byte) { return issue(authority(t, "campus"), "fra", 0) },
		"not issued by this authority": func() ([]byte, []byte) { return issue(authority(t, "demo"), "fra", 0) },
	} {
		cert, key := wrong()
		write("cert", cert)
		write("key", key)
		if renewed, err := id.Renew(); renewed || err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v, %v", what, renewed, err)
		}
		shown()
	}
}
