package pki

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// Identity is what a node needs to prove who it is and to know the other nodes of its cluster. Its certificate may be
// renewed while it is in use; who it names never changes.
type Identity struct {
	// Set by ParseIdentity and LoadIdentity, never changed.
	cluster, node string
	resetKey      [32]byte
	files         []string // of the authority, the certificate and the key; nil for an identity that was parsed

	current atomic.Pointer[credentials]
}

// credentials are what an identity shows and believes at one time. They are replaced, never changed.
type credentials struct {
	pems  [][]byte // of the authority, the certificate and the key
	pair  tls.Certificate
	roots *x509.CertPool
}

// LoadIdentity reads an identity from the files of the authority's certificate, the node's certificate and its key.
func LoadIdentity(caFile, certFile, keyFile string) (*Identity, error) {
	files := []string{caFile, certFile, keyFile}
	pems, err := readFiles(files)
	if err != nil {
		return nil, err
	}
	id, err := ParseIdentity(pems[0], pems[1], pems[2])
	if err != nil {
		return nil, fmt.Errorf("load the node's identity from %s, %s and %s: %w", caFile, certFile, keyFile, err)
	}
	id.files = files
	return id, nil
}

func readFiles(files []string) (pems [][]byte, err error) {
	for i, what := range []string{"the authority's certificate", "the node's certificate", "the node's key"} {
		data, err := os.ReadFile(files[i])
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", what, err)
		}
		pems = append(pems, data)
	}
	return pems, nil
}

// ParseIdentity makes an identity of the PEM texts of the authority's certificate, the node's certificate and its key.
// A certificate that the other nodes would refuse is refused here first.
func ParseIdentity(ca, cert, key []byte) (*Identity, error) {
	c, err := parseCredentials([][]byte{ca, cert, key})
	if err != nil {
		return nil, err
	}
	id := &Identity{}
	if id.cluster, id.node, err = nameOf(c.pair.Leaf); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.pair.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("encode the node's key: %w", err)
	}
	reset, err := hkdf.Key(sha256.New, der, nil, "lyceum quic stateless reset", len(id.resetKey))
	if err != nil {
		return nil, fmt.Errorf("derive the stateless reset key: %w", err)
	}
	copy(id.resetKey[:], reset)
	id.current.Store(c)
	return id, id.check(c)
}

func parseCredentials(pems [][]byte) (*credentials, error) {
	c := &credentials{pems: pems, roots: x509.NewCertPool()}
	if !c.roots.AppendCertsFromPEM(pems[0]) {
		return nil, errors.New("the authority's file holds no certificate in PEM form")
	}
	var err error
	if c.pair, err = tls.X509KeyPair(pems[1], pems[2]); err != nil {
		return nil, fmt.Errorf("the node's certificate and key: %w", err)
	}
	return c, nil
}

// check tells why the other nodes would refuse credentials, or that they name another node.
func (i *Identity) check(c *credentials) error {
	return i.verify(c, c.pair.Leaf, nil, i.node)
}

// Renew reads the files of LoadIdentity again and takes over what has changed: connections that are made from then on
// show the new certificate and believe the new authority, those that exist go on. Credentials that the other nodes would
// refuse, that belong to another node or that do not fit together are an error, and the old ones stay.
func (i *Identity) Renew() (renewed bool, err error) {
	if i.files == nil {
		return false, nil
	}
	pems, err := readFiles(i.files)
	if err != nil {
		return false, err
	}
	if slices.EqualFunc(pems, i.current.Load().pems, bytes.Equal) {
		return false, nil
	}
	c, err := parseCredentials(pems)
	if err == nil {
		err = i.check(c)
	}
	if err != nil {
		return false, fmt.Errorf("renew the node's identity from %s, %s and %s: %w", i.files[0], i.files[1], i.files[2], err)
	}
	i.current.Store(c)
	return true, nil
}

// Cluster is the id of the cluster that this identity belongs to.
func (i *Identity) Cluster() string { return i.cluster }

// Node is the id of the node that this identity names.
func (i *Identity) Node() string { return i.node }

// Expires is the moment from which the other nodes refuse this identity.
func (i *Identity) Expires() time.Time { return i.current.Load().pair.Leaf.NotAfter }

// ResetKey is the key of QUIC's stateless resets. It survives restarts, so that peers of a crashed node learn at its
// first answer that their connections are gone.
func (i *Identity) ResetKey() [32]byte { return i.resetKey }

// ServerTLS is the configuration for accepting connections from the nodes of this cluster and from nobody else.
func (i *Identity) ServerTLS(alpn ...string) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &i.current.Load().pair, nil },
		NextProtos:     alpn,
		// The chain is verified in VerifyConnection, whose errors are sentences; a list of acceptable authorities would
		// make a node of another cluster hide its certificate, and the log could not say whose it was.
		ClientAuth:       tls.RequireAnyClientCert,
		VerifyConnection: func(cs tls.ConnectionState) error { return i.verifyPeer(cs.PeerCertificates, "") },
	}
}

// ClientTLS is the configuration for connecting to a node of this cluster; "" means any of them.
func (i *Identity) ClientTLS(node string, alpn ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &i.current.Load().pair, nil
		},
		NextProtos: alpn,
		// This switches off only the comparison with a host name, which no node's certificate has: VerifyConnection
		// checks the chain, the dates and the node's name, on resumed connections too.
		InsecureSkipVerify: true,
		VerifyConnection:   func(cs tls.ConnectionState) error { return i.verifyPeer(cs.PeerCertificates, node) },
	}
}

// verifyPeer checks the chain that a peer showed.
func (i *Identity) verifyPeer(chain []*x509.Certificate, node string) error {
	if len(chain) == 0 {
		return errors.New("the peer showed no certificate")
	}
	return i.verify(i.current.Load(), chain[0], chain[1:], node)
}

// verify checks that a certificate is, by the authority of c, that of a node of this cluster, and of the given one unless
// it is "".
func (i *Identity) verify(c *credentials, leaf *x509.Certificate, chain []*x509.Certificate, node string) error {
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
	for _, c := range chain {
		between.AddCert(c)
	}
	// A node both asks and answers, so its certificate must be good for both.
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := leaf.Verify(x509.VerifyOptions{
			Roots: c.roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage},
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
