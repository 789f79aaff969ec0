package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// ErrNoName means that a certificate carries no node's name, so that it cannot be a node's.
var ErrNoName = errors.New("the certificate carries no name of the form spiffe://<cluster>/node/<id>")

var validID = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)

// ValidID tells whether id may name a cluster or a node: 1 to 63 of the characters a-z, 0-9 and '-'.
func ValidID(id string) bool { return validID.MatchString(id) }

func checkID(what, id string) error {
	if !ValidID(id) {
		return fmt.Errorf("%s id %q must be 1 to 63 of the characters a-z, 0-9 and '-'", what, id)
	}
	return nil
}

// PeerNode is the id of the node at the other end of a connection. The configurations of an Identity have verified it
// before the handshake ended.
func PeerNode(cs tls.ConnectionState) (string, error) {
	if len(cs.PeerCertificates) == 0 {
		return "", errors.New("the peer showed no certificate")
	}
	_, node, err := nameOf(cs.PeerCertificates[0])
	return node, err
}

func nodeURI(cluster, node string) *url.URL {
	return &url.URL{Scheme: "spiffe", Host: cluster, Path: "/node/" + node}
}

// nameOf reads the one name of a node's certificate. As SPIFFE has it, a second URI makes the certificate invalid.
func nameOf(cert *x509.Certificate) (cluster, node string, err error) {
	if len(cert.URIs) != 1 {
		return "", "", ErrNoName
	}
	u := cert.URIs[0]
	node, ok := strings.CutPrefix(u.Path, "/node/")
	if !ok || u.Scheme != "spiffe" || !ValidID(u.Host) || !ValidID(node) || u.String() != nodeURI(u.Host, node).String() {
		return "", "", ErrNoName
	}
	return u.Host, node, nil
}
