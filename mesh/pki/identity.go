package pki

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"
)

// Identity is what a node needs to prove who it is and to know the other nodes of its cluster.
type Identity struct {
	// Set by ParseIdentity, never changed.
	cluster, node string
	pair          tls.Certificate
	roots         *x509.CertPool
	resetKey      [32]byte
}

// LoadIdentity reads an identity from the files of the authority's certificate, the node's certificate and its key.
func LoadIdentity(caFile, certFile, keyFile string) (*Identity, error) {
	var pems [3][]byte
	for i, f := range []struct{ what, path string }{
		{"the authority's certificate", caFile}, {"the node's certificate", certFile}, {"the node's key", keyFile},
	} {
		data, err := os.ReadFile(f.path)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f.what, err)
		}
		pems[i] = data
	}
	id, err := ParseIdentity(pems[0], pems[1], pems[2])
	if err != nil {
		return nil, fmt.Errorf("load the node's identity from %s, %s and %s: %w", caFile, certFile, keyFile, err)
	}
	return id, nil
}

// ParseIdentity makes an identity of the PEM texts of the authority's certificate, the node's certificate and its key.
// A certificate that the other nodes would refuse is refused here first.
func ParseIdentity(ca, cert, key []byte) (*Identity, error) {
	id := &Identity{roots: x509.NewCertPool()}
	if !id.roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("the authority's file holds no certificate in PEM form")
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("the node's certificate and key: %w", err)
	}
	id.pair = pair
	id.cluster, id.node, err = nameOf(pair.Leaf)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("encode the node's key: %w", err)
	}
	reset, err := hkdf.Key(sha256.New, der, nil, "lyceum quic stateless reset", len(id.resetKey))
	if err != nil {
		return nil, fmt.Errorf("derive the stateless reset key: %w", err)
	}
	copy(id.resetKey[:], reset)
	return id, id.verify([]*x509.Certificate{pair.Leaf}, id.node)
}

// Cluster is the id of the cluster that this identity belongs to.
func (i *Identity) Cluster() string { return i.cluster }

// Node is the id of the node that this identity names.
func (i *Identity) Node() string { return i.node }

// Expires is the moment from which the other nodes refuse this identity.
func (i *Identity) Expires() time.Time { return i.pair.Leaf.NotAfter }

// ResetKey is the key of QUIC's stateless resets. It survives restarts, so that peers of a crashed node learn at its
// first answer that their connections are gone.
func (i *Identity) ResetKey() [32]byte { return i.resetKey }

// ServerTLS is the configuration for accepting connections from the nodes of this cluster and from nobody else.
func (i *Identity) ServerTLS(alpn ...string) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{i.pair},
		NextProtos:   alpn,
		// The chain is verified in VerifyConnection, whose errors are sentences; a list of acceptable authorities would
		// make a node of another cluster hide its certificate, and the log could not say whose it was.
		ClientAuth:       tls.RequireAnyClientCert,
		VerifyConnection: func(cs tls.ConnectionState) error { return i.verify(cs.PeerCertificates, "") },
	}
}

// ClientTLS is the configuration for connecting to a node of this cluster; "" means any of them.
func (i *Identity) ClientTLS(node string, alpn ...string) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{i.pair},
		NextProtos:   alpn,
		// This switches off only the comparison with a host name, which no node's certificate has: VerifyConnection
		// checks the chain, the dates and the node's name, on resumed connections too.
		InsecureSkipVerify: true,
		VerifyConnection:   func(cs tls.ConnectionState) error { return i.verify(cs.PeerCertificates, node) },
	}
}

// verify checks that a chain of certificates is that of a node of this cluster, and of the given one unless it is "".
func (i *Identity) verify(chain []*x509.Certificate, node string) error {
	if len(chain) == 0 {
		return errors.New("the peer showed no certificate")
	}
	leaf := chain[0]
	cluster, name, err := nameOf(leaf)
	if err != nil {
		return err
	}
	if cluster != i.cluster {
		return fmt.Errorf("certificate of cluster %s cannot join cluster %s", cluster, i.cluster)
	}
	if node != "" && name != node {
		return fmt.Errorf("certificate of node %s was shown where node %s was expected", name, node)
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	// A node both asks and answers, so its certificate must be good for both.
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := leaf.Verify(x509.VerifyOptions{
			Roots: i.roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage},
		})
		if err != nil {
			return sayWhy(cluster, name, err)
		}
	}
	return nil
}

func sayWhy(cluster, node string, err error) error {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return fmt.Errorf("certificate of node %s is valid from %s to %s only: %w", node,
			invalid.Cert.NotBefore.Format(time.RFC3339), invalid.Cert.NotAfter.Format(time.RFC3339), err)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("certificate of node %s was not issued by this authority of cluster %s: %w", node, cluster, err)
	}
	return fmt.Errorf("certificate of node %s: %w", node, err)
}
