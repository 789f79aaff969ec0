package ticket

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"
)

// DefaultLeeway is by how much the clocks of two nodes may differ before their tokens are refused.
const DefaultLeeway = 30 * time.Second

// maxKeyFile bounds what LoadKeys reads: some hundred keys.
const maxKeyFile = 64 << 10

// Keys are the keys of one cluster: one that signs, and any number whose signatures are accepted. It is safe for
// concurrent use.
type Keys struct {
	// Set by ParseKeys and WithLeeway, never changed.
	cluster  string
	signer   ed25519.PrivateKey // nil: can only check
	signerID string
	accepted map[string]ed25519.PublicKey // by key id
	leeway   time.Duration
}

// GenerateKey makes a new signing key as a PEM block (PKCS #8).
func GenerateKey() ([]byte, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make an Ed25519 key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode an Ed25519 key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ParseKeys reads the PEM blocks of a cluster's keys. The first private key signs; every key, private or public, is
// accepted. To change keys, put the new one in front of the old one on every node, and remove the old one when what
// it signed has expired.
func ParseKeys(cluster string, blocks []byte) (*Keys, error) {
	if cluster == "" {
		return nil, errors.New("ticket keys need the name of their cluster")
	}
	k := &Keys{cluster: cluster, accepted: make(map[string]ed25519.PublicKey), leeway: DefaultLeeway}
	for n := 1; ; n++ {
		block, rest := pem.Decode(blocks)
		if block == nil {
			break
		}
		blocks = rest
		public, private, err := parseKey(block)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", n, err)
		}
		id := keyID(public)
		k.accepted[id] = public
		if private != nil && k.signer == nil {
			k.signer, k.signerID = private, id
		}
	}
	if len(k.accepted) == 0 {
		return nil, errors.New("there is no PEM key in it; \"lyceum pki init\" makes one")
	}
	return k, nil
}

// LoadKeys reads a cluster's keys from a file.
func LoadKeys(cluster, path string) (*Keys, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the ticket keys: %w", err)
	}
	defer f.Close()
	if s, err := f.Stat(); err == nil && s.Size() > maxKeyFile {
		return nil, fmt.Errorf("read the ticket keys: %s has %d bytes, which is no file of keys", path, s.Size())
	}
	blocks, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the ticket keys: %w", err)
	}
	k, err := ParseKeys(cluster, blocks)
	if err != nil {
		return nil, fmt.Errorf("read the ticket keys in %s: %w", path, err)
	}
	return k, nil
}

// WithLeeway returns the same keys that forgive clocks differing by d. Zero or less forgives nothing.
func (k *Keys) WithLeeway(d time.Duration) *Keys {
	c := *k
	c.leeway = max(d, 0)
	return &c
}

// Cluster is the name of the cluster whose keys these are.
func (k *Keys) Cluster() string { return k.cluster }

// CanSign reports whether there is a private key among the keys.
func (k *Keys) CanSign() bool { return k.signer != nil }

// parseKey reads one block. The private key is nil when the block holds a public key.
func parseKey(block *pem.Block) (ed25519.PublicKey, ed25519.PrivateKey, error) {
	switch block.Type {
	case "PRIVATE KEY":
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("private key is damaged: %w", err)
		}
		private, ok := key.(ed25519.PrivateKey)
		if !ok {
			return nil, nil, errors.New("private key is not an Ed25519 key")
		}
		return private.Public().(ed25519.PublicKey), private, nil
	case "PUBLIC KEY":
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("public key is damaged: %w", err)
		}
		public, ok := key.(ed25519.PublicKey)
		if !ok {
			return nil, nil, errors.New("public key is not an Ed25519 key")
		}
		return public, nil, nil
	}
	return nil, nil, fmt.Errorf("%q is neither a \"PRIVATE KEY\" nor a \"PUBLIC KEY\"", block.Type)
}

// keyID names a public key in the header of what it signed.
func keyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}
