package sim

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
)

// selfSigned makes TLS configurations by the clock of the bubble.
func selfSigned(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"node"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, public, private)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	protos := []string{"echo"}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}, NextProtos: protos},
		&tls.Config{RootCAs: roots, ServerName: "node", NextProtos: protos}
}

// echo answers every stream of every connection with what it says.
func echo(t *testing.T, h *Host, tlsConf *tls.Config, conf *quic.Config) *quic.Transport {
	t.Helper()
	tr := &quic.Transport{Conn: h.PacketConn(4433)}
	l, err := tr.Listen(tlsConf, conf)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			go func() {
				for {
					s, err := c.AcceptStream(context.Background())
					if err != nil {
						return
					}
					go func() {
						_, _ = io.Copy(s, s)
						_ = s.Close()
					}()
				}
			}()
		}
	}()
	return tr
}

func dialQUIC(t *testing.T, from, to *Host, tlsConf *tls.Config, conf *quic.Config) (*quic.Transport, *quic.Conn) {
	t.Helper()
	tr := &quic.Transport{Conn: from.PacketConn(0)}
	c, err := tr.Dial(t.Context(), udpAddr(mustResolve(t, from, to.At(4433))), tlsConf, conf)
	if err != nil {
		t.Fatal(err)
	}
	return tr, c
}

func TestQUICTakesTheTimeOfItsPath(t *testing.T) {
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Path{Delay: 50 * time.Millisecond})
		a, b := n.Host("a", "192.0.2.1"), n.Host("b", "192.0.2.2")
		server, client := selfSigned(t)
		conf := &quic.Config{MaxIdleTimeout: 10 * time.Second, KeepAlivePeriod: 2 * time.Second}
		far := echo(t, b, server, conf)
		defer far.Close()
		start := time.Now()
		near, c := dialQUIC(t, a, b, client, conf)
		defer near.Close()
		if took := time.Since(start); took < 100*time.Millisecond || took > 110*time.Millisecond {
			t.Errorf("the handshake over one round trip of 100 ms took %v", took)
		}
		start = time.Now()
		if got := ask(t, c, []byte("hello")); string(got) != "hello" {
			t.Errorf("the echo is %q", got)
		}
		if took := time.Since(start); took < 100*time.Millisecond || took > 110*time.Millisecond {
			t.Errorf("an echo over one round trip of 100 ms took %v", took)
		}
		// An hour of keep-alives, then silence: the connection ends at its idle time-out.
		time.Sleep(time.Hour)
		if err := c.Context().Err(); err != nil {
			t.Fatalf("the connection did not last an hour: %v", context.Cause(c.Context()))
		}
		n.Cut(a, b)
		start = time.Now()
		<-c.Context().Done()
		if took := time.Since(start); took < 8*time.Second || took > 12*time.Second {
			t.Errorf("the cut was noticed after %v", took)
		}
	})
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("an hour of simulated time took %v", took)
	}
}

func TestQUICSurvivesLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Path{Delay: 50 * time.Millisecond, Jitter: 2 * time.Millisecond, Loss: 0.01, Reorder: 0.005})
		a, b := n.Host("a", "192.0.2.1"), n.Host("b", "192.0.2.2")
		server, client := selfSigned(t)
		far := echo(t, b, server, nil)
		defer far.Close()
		near, c := dialQUIC(t, a, b, client, nil)
		defer near.Close()
		want := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
		if got := ask(t, c, want); !bytes.Equal(got, want) {
			t.Errorf("%d bytes of %d came back", len(got), len(want))
		}
		if tr := n.Traffic(a, b); tr.Lost == 0 || tr.Bytes < int64(len(want)) {
			t.Errorf("traffic %+v", tr)
		}
	})
}

func ask(t *testing.T, c *quic.Conn, question []byte) []byte {
	t.Helper()
	s, err := c.OpenStreamSync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = s.Write(question)
		_ = s.Close()
	}()
	got, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	return got
}
