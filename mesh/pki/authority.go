package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"
)

const (
	defaultAuthorityLife = 10 * 365 * 24 * time.Hour
	defaultNodeLife      = 365 * 24 * time.Hour

	// clockSkew is how far a node's clock may be behind the one that issued its certificate.
	clockSkew = time.Hour
)

// Authority is the certificate authority of one cluster. Whoever holds its key can add nodes to the cluster, so it
// belongs on the operator's machine and not on the nodes.
type Authority struct {
	// Set by NewAuthority or LoadAuthority, never changed.
	cluster         string
	cert            *x509.Certificate
	key             crypto.Signer
	certPEM, keyPEM []byte
}

// NewAuthority makes the authority of a new cluster, valid for life; 0 means ten years.
func NewAuthority(cluster string, life time.Duration) (*Authority, error) {
	if err := checkID("cluster", cluster); err != nil {
		return nil, err
	}
	if life == 0 {
		life = defaultAuthorityLife
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key for cluster %s: %w", cluster, err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "lyceum cluster " + cluster},
		URIs:                  []*url.URL{{Scheme: "spiffe", Host: cluster}},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(life),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		// A stolen key of one cluster's authority cannot sign for another cluster.
		PermittedDNSDomainsCritical: true,
		PermittedURIDomains:         []string{cluster},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of cluster %s: %w", cluster, err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return LoadAuthority(encodeCert(der), keyPEM)
}

// LoadAuthority reads an authority back from what PEM gave.
func LoadAuthority(certPEM, keyPEM []byte) (*Authority, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("read the cluster's authority: %w", err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return nil, errors.New("read the cluster's authority: this is not the certificate of an authority")
	}
	if len(pair.Leaf.URIs) != 1 || pair.Leaf.URIs[0].Scheme != "spiffe" || !ValidID(pair.Leaf.URIs[0].Host) {
		return nil, errors.New("read the cluster's authority: its certificate does not name a cluster")
	}
	return &Authority{
		cluster: pair.Leaf.URIs[0].Host, cert: pair.Leaf, key: key, certPEM: certPEM, keyPEM: keyPEM,
	}, nil
}

// Cluster is the id of the cluster that this authority speaks for.
func (a *Authority) Cluster() string { return a.cluster }

// PEM gives the certificate, which every node needs, and the key, which no node needs.
func (a *Authority) PEM() (cert, key []byte) { return a.certPEM, a.keyPEM }

// Issue makes a key and a certificate for a node, valid for life but no longer than the authority itself; 0 means a
// year.
func (a *Authority) Issue(node string, life time.Duration) (certPEM, keyPEM []byte, err error) {
	if err := checkID("node", node); err != nil {
		return nil, nil, err
	}
	if life == 0 {
		life = defaultNodeLife
	}
	now := time.Now()
	if !now.Before(a.cert.NotAfter) {
		return nil, nil, fmt.Errorf("issue a certificate for node %s: the authority of cluster %s expired on %s",
			node, a.cluster, a.cert.NotAfter.Format(time.DateOnly))
	}
	until := now.Add(life)
	if until.After(a.cert.NotAfter) {
		until = a.cert.NotAfter
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key for node %s: %w", node, err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: node},
		URIs:                  []*url.URL{nodeURI(a.cluster, node)},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              until,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign the certificate of node %s: %w", node, err)
	}
	keyPEM, err = encodeKey(key)
	if err != nil {
		return nil, nil, err
	}
	return encodeCert(der), keyPEM, nil
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// serial makes a positive number that no other certificate has.
func serial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, by its contract
	b[0] &= 0x7f
	b[15] |= 1
	return new(big.Int).SetBytes(b[:])
}
