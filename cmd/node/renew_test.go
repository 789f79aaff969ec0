package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestListenerShowsTheRenewedCertificate(t *testing.T) {
	dir := t.TempDir()
	p := &listenerPair{certificate: filepath.Join(dir, "tls.pem"), key: filepath.Join(dir, "tls.key")}
	if _, err := p.renew(); err == nil {
		t.Fatal("there is no certificate yet")
	}
	issue := func(serial int64) {
		t.Helper()
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{"fra"}, NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		secret, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write := func(path, kind string, b []byte) {
			t.Helper()
			if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(p.certificate, "CERTIFICATE", der)
		write(p.key, "PRIVATE KEY", secret)
	}
	issue(1)
	if renewed, err := p.renew(); !renewed || err != nil {
		t.Fatal(renewed, err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", p.config())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*tls.Conn).HandshakeContext(t.Context()) // the dialler tells
			_ = c.Close()
		}
	}()
	shown := func() int64 {
		t.Helper()
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if n := shown(); n != 1 {
		t.Fatalf("certificate %d", n)
	}
	if renewed, err := p.renew(); renewed || err != nil {
		t.Fatal(renewed, err)
	}
	issue(2)
	if renewed, err := p.renew(); !renewed || err != nil {
		t.Fatal(renewed, err)
	}
	if n := shown(); n != 2 {
		t.Fatalf("after the renewal, certificate %d", n)
	}
	if err := os.WriteFile(p.key, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if renewed, err := p.renew(); renewed || err == nil {
		t.Fatal(renewed, err)
	}
	if n := shown(); n != 2 {
		t.Fatalf("after a failed renewal, certificate %d", n)
	}
}
