package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func authority(t *testing.T, cluster string) *Authority {
	t.Helper()
	a, err := NewAuthority(cluster, 0)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func identity(t *testing.T, a *Authority, node string, life time.Duration) *Identity {
	t.Helper()
	cert, key, err := a.Issue(node, life)
	if err != nil {
		t.Fatal(err)
	}
	ca, _ := a.PEM()
	id, err := ParseIdentity(ca, cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// handshake joins two configurations and returns the server's view of the connection and what each side said.
func handshake(t *testing.T, client, server *tls.Config) (cs tls.ConnectionState, clientErr, serverErr error) {
	t.Helper()
	near, far := net.Pipe()
	c, s := tls.Client(near, client), tls.Server(far, server)
	done := make(chan error, 1)
	go func() {
		err := s.HandshakeContext(t.Context())
		if err == nil {
			_, err = s.Write([]byte{1})
		}
		far.Close()
		done <- err
	}()
	clientErr = c.HandshakeContext(t.Context())
	if clientErr == nil {
		// In TLS 1.3 the client is done before the server has judged its certificate.
		_, clientErr = c.Read(make([]byte, 1))
	}
	near.Close()
	serverErr = <-done
	return s.ConnectionState(), clientErr, serverErr
}

func TestNodesOfOneClusterKnowOneAnother(t *testing.T) {
	a := authority(t, "demo")
	fra, sin := identity(t, a, "fra-1", 0), identity(t, a, "sin-1", 0)
	cs, clientErr, serverErr := handshake(t, sin.ClientTLS("fra-1", "raft/1"), fra.ServerTLS("cascade/1", "raft/1"))
	if clientErr != nil || serverErr != nil {
		t.Fatalf("client: %v; server: %v", clientErr, serverErr)
	}
	if node, err := PeerNode(cs); err != nil || node != "sin-1" {
		t.Fatalf("the server saw node %q, %v", node, err)
	}
	if cs.NegotiatedProtocol != "raft/1" || cs.Version != tls.VersionTLS13 {
		t.Fatalf("negotiated %q with version %x", cs.NegotiatedProtocol, cs.Version)
	}
	if _, clientErr, _ := handshake(t, sin.ClientTLS(""), fra.ServerTLS()); clientErr != nil {
		t.Fatalf("any node of the cluster should do: %v", clientErr)
	}
	if fra.ResetKey() == sin.ResetKey() || fra.ResetKey() == [32]byte{} {
		t.Fatal("the reset keys are not each node's own")
	}
}

func TestStrangersAreRefused(t *testing.T) {
	demo := authority(t, "demo")
	fra := identity(t, demo, "fra-1", 0)
	tests := []struct {
		name           string
		peer           *Identity
		client, server string // what that side says of the stranger
	}{
		{
			"another cluster", identity(t, authority(t, "campus"), "sin-1", 0),
			"certificate of cluster campus cannot join cluster demo", "certificate of cluster campus cannot join cluster demo",
		},
		{
			"another authority of the same name", identity(t, authority(t, "demo"), "sin-1", 0),
			"was not issued by this authority", "was not issued by this authority",
		},
		{"another node", identity(t, demo, "iad-1", 0), "certificate of node iad-1 was shown where node sin-1 was expected", ""},
	}
	// A stranger that checks nothing meets each side in turn.
	lax := func(i *Identity) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{i.current.Load().pair}, InsecureSkipVerify: true, ClientAuth: tls.RequireAnyClientCert}
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, clientErr, _ := handshake(t, fra.ClientTLS("sin-1"), lax(test.peer))
			if clientErr == nil || !strings.Contains(clientErr.Error(), test.client) {
				t.Errorf("as a client: %v", clientErr)
			}
			_, clientErr, serverErr := handshake(t, lax(test.peer), fra.ServerTLS())
			if test.server == "" {
				if serverErr != nil {
					t.Errorf("as a server: %v", serverErr)
				}
			} else if serverErr == nil || clientErr == nil || !strings.Contains(serverErr.Error(), test.server) {
				t.Errorf("as a server: %v; the client: %v", serverErr, clientErr)
			}
		})
	}
	_, _, serverErr := handshake(t, &tls.Config{InsecureSkipVerify: true}, fra.ServerTLS())
	if serverErr == nil || !strings.Contains(serverErr.Error(), "didn't provide a certificate") {
		t.Errorf("without a certificate: %v", serverErr)
	}
}

func TestExpiredNodeIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := authority(t, "demo")
		fra, sin := identity(t, a, "fra-1", 0), identity(t, a, "sin-1", time.Hour)
		if want := time.Now().Add(time.Hour); sin.Expires().Sub(want).Abs() > time.Second {
			t.Fatalf("expires at %v, not %v", sin.Expires(), want)
		}
		time.Sleep(2 * time.Hour)
		_, _, serverErr := handshake(t, sin.ClientTLS("fra-1"), fra.ServerTLS())
		if serverErr == nil || !strings.Contains(serverErr.Error(), "certificate of node sin-1 is valid from") {
			t.Errorf("as a server: %v", serverErr)
		}
		_, clientErr, _ := handshake(t, fra.ClientTLS("sin-1"), sin.ServerTLS())
		if clientErr == nil || !strings.Contains(clientErr.Error(), "certificate of node sin-1 is valid from") {
			t.Errorf("as a client: %v", clientErr)
		}
	})
}

func TestCertificateMustNameOneNode(t *testing.T) {
	a := authority(t, "demo")
	ca, _ := a.PEM()
	for _, uris := range [][]string{
		nil,
		{"spiffe://demo/node/a", "spiffe://demo/node/b"},
		{"https://demo/node/a"},
		{"spiffe://demo/node/"},
		{"spiffe://demo/node/a/b"},
		{"spiffe://demo/node/A"},
		{"spiffe://demo/node/a?b"},
		{"spiffe://x@demo/node/a"},
		{"spiffe://demo"},
	} {
		template := &x509.Certificate{
			SerialNumber: serial(), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		for _, s := range uris {
			u, err := url.Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			template.URIs = append(template.URIs, u)
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
		if err != nil {
			t.Fatal(err)
		}
		keyPEM, err := encodeKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseIdentity(ca, encodeCert(der), keyPEM); err == nil {
			t.Errorf("%q was taken for a node's name", uris)
		}
	}
}

func TestAuthoritySignsForItsOwnClusterOnly(t *testing.T) {
	a := authority(t, "demo")
	ca, _ := a.PEM()
	a.cluster = "campus" // a thief of demo's key tries
	cert, key, err := a.Issue("fra-1", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseIdentity(ca, cert, key); err == nil {
		t.Fatal("the authority of demo made a node of campus")
	}
}

func TestAuthoritySurvivesItsFiles(t *testing.T) {
	a := authority(t, "demo")
	back, err := LoadAuthority(a.PEM())
	if err != nil {
		t.Fatal(err)
	}
	if back.Cluster() != "demo" {
		t.Fatalf("cluster %q", back.Cluster())
	}
	dir := t.TempDir()
	ca, _ := a.PEM()
	cert, key, err := back.Issue("fra-1", 0)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	caFile, certFile, keyFile := file("ca.pem", ca), file("node.pem", cert), file("node.key", key)
	id, err := LoadIdentity(caFile, certFile, keyFile)
	if err != nil || id.Cluster() != "demo" || id.Node() != "fra-1" {
		t.Fatalf("%+v, %v", id, err)
	}
	for _, files := range [][3]string{
		{caFile, certFile, dir + "/absent"},
		{caFile, certFile, caFile},
		{keyFile, certFile, keyFile},
	} {
		if _, err := LoadIdentity(files[0], files[1], files[2]); err == nil {
			t.Errorf("%v were taken for an identity", files)
		}
	}
	if _, err := LoadAuthority(cert, key); err == nil {
		t.Error("a node's certificate was taken for an authority")
	}
	for _, id := range []string{"", "Demo", "a.b", "a/b", strings.Repeat("a", 64)} {
		if _, err := NewAuthority(id, 0); err == nil {
			t.Errorf("cluster %q was accepted", id)
		}
		if _, _, err := a.Issue(id, 0); err == nil {
			t.Errorf("node %q was accepted", id)
		}
	}
}
