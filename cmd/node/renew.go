package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// renewEvery is how often the certificates' files are looked at: they are replaced days before the old ones end.
const renewEvery = 10 * time.Second

// renewCertificates takes over renewed certificates until ctx is done. What cannot be taken over is logged once; the old
// ones stay.
func (n *Node) renewCertificates(ctx context.Context) error {
	var parts []renewal
	parts = append(parts, renewal{what: "pki", renew: n.identity.Renew})
	if n.secure != nil {
		parts = append(parts, renewal{what: "http.certificate", renew: n.secure.renew})
	}
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for i := range parts {
			p := &parts[i]
			renewed, err := p.renew()
			text := ""
			if err != nil {
				text = err.Error()
			}
			if err != nil && text != p.said {
				n.log.Error("a renewed certificate cannot be used; the old one stays", "key", p.what, "err", err)
			}
			p.said = text
			if renewed {
				n.log.Info("certificate renewed", "key", p.what)
			}
		}
	}
}

// renewal is a certificate that is looked at.
type renewal struct {
	what  string
	renew func() (renewed bool, err error)
	said  string // the error that was logged last
}

// openTLS reads the certificate of the public listener.
func (n *Node) openTLS() (err error) {
	if n.cfg.HTTP.Certificate == "" {
		return nil
	}
	n.secure = &listenerPair{certificate: n.cfg.HTTP.Certificate, key: n.cfg.HTTP.Key}
	if _, err = n.secure.renew(); err != nil {
		return fmt.Errorf("http.certificate: %w", err)
	}
	return nil
}

// listenerPair is the certificate of the public listener, as its files have it.
type listenerPair struct {
	// Set by openTLS, never changed.
	certificate, key string

	current atomic.Pointer[loadedPair]
}

type loadedPair struct {
	certificate, key []byte
	pair             tls.Certificate
}

// renew reads the files, if they are not what was read last.
func (p *listenerPair) renew() (renewed bool, err error) {
	var now loadedPair
	if now.certificate, err = os.ReadFile(p.certificate); err != nil {
		return false, fmt.Errorf("read the listener's certificate: %w", err)
	}
	if now.key, err = os.ReadFile(p.key); err != nil {
		return false, fmt.Errorf("read the listener's key: %w", err)
	}
	old := p.current.Load()
	if old != nil && bytes.Equal(old.certificate, now.certificate) && bytes.Equal(old.key, now.key) {
		return false, nil
	}
	if now.pair, err = tls.X509KeyPair(now.certificate, now.key); err != nil {
		return false, fmt.Errorf("%s and %s: %w", p.certificate, p.key, err)
	}
	p.current.Store(&now)
	return true, nil
}

// config is the listener's TLS; nil for a nil pair, which is no TLS.
func (p *listenerPair) config() *tls.Config {
	if p == nil {
		return nil
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &p.current.Load().pair, nil },
	}
}
