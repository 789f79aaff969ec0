package ticket

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const cluster = "demo"

// newKeys returns fresh keys of the cluster and the PEM block they were read from.
func newKeys(t testing.TB) (*Keys, []byte) {
	t.Helper()
	block, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParseKeys(cluster, block)
	if err != nil {
		t.Fatal(err)
	}
	return k, block
}

func publicBlock(t testing.TB, k *Keys) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k.signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func sampleToken(now time.Time) Token {
	return Token{Subject: "seat-7", Name: "Asha \u200dक", Room: "physics-1", Role: Student, Expires: now.Add(time.Hour)}
}

func TestOldKeyIsAcceptedWhileItIsListed(t *testing.T) {
	now := time.Now()
	old, oldBlock := newKeys(t)
	_, newBlock := newKeys(t)
	raw, err := old.SignToken(sampleToken(now))
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := ParseKeys(cluster, append(bytes.Clone(newBlock), oldBlock...))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rotated.CheckToken(raw, now); err != nil {
		t.Errorf("a token of the old key is refused while the old key is listed: %v", err)
	}
	fresh, err := rotated.SignToken(sampleToken(now))
	if err != nil {
		t.Fatal(err)
	}
	onlyNew, err := ParseKeys(cluster, newBlock)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := onlyNew.CheckToken(fresh, now); err != nil {
		t.Errorf("the first key does not sign: %v", err)
	}
	if _, err := onlyNew.CheckToken(raw, now); !errors.Is(err, ErrSignature) {
		t.Errorf("a token of a removed key: got %v, want ErrSignature", err)
	}
}

func TestPublicKeysCheckAndDoNotSign(t *testing.T) {
	now := time.Now()
	k, _ := newKeys(t)
	raw, err := k.SignToken(sampleToken(now))
	if err != nil {
		t.Fatal(err)
	}
	public, err := ParseKeys(cluster, publicBlock(t, k))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := public.CheckToken(raw, now); err != nil {
		t.Error(err)
	}
	if !k.CanSign() || public.CanSign() {
		t.Error("CanSign is wrong")
	}
	if _, err := public.SignToken(sampleToken(now)); err == nil || !strings.Contains(err.Error(), "no private key") {
		t.Errorf("got %v", err)
	}
}

func TestUnreadableKeysAreNamed(t *testing.T) {
	_, good := newKeys(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"empty":       {nil, "no PEM key"},
		"not pem":     {[]byte("hunter2"), "no PEM key"},
		"damaged":     {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("xx")}), "PEM block 1: private key is damaged"},
		"ecdsa":       {append(bytes.Clone(good), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...), "PEM block 2: private key is not an Ed25519 key"},
		"certificate": {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("xx")}), `"CERTIFICATE" is neither`},
		"bad public":  {pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("xx")}), "public key is damaged"},
		"huge":        {make([]byte, maxKeyFile+1), "no file of keys"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ticket.pem")
			if err := os.WriteFile(path, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := LoadKeys(cluster, path)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want %q and the path", err, c.want)
			}
		})
	}
	missing := filepath.Join(t.TempDir(), "absent.pem")
	if _, err := LoadKeys(cluster, missing); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := ParseKeys("", good); err == nil {
		t.Error("keys without a cluster are accepted")
	}
}

func TestLoadKeysReadsWhatGenerateKeyMakes(t *testing.T) {
	k, block := newKeys(t)
	path := filepath.Join(t.TempDir(), "ticket.pem")
	if err := os.WriteFile(path, block, 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadKeys(cluster, path)
	if err != nil {
		t.Fatal(err)
	}
	if !loaded.signer.Public().(ed25519.PublicKey).Equal(k.signer.Public()) || loaded.Cluster() != cluster {
		t.Error("the loaded keys are others")
	}
}
