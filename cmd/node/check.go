package node

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// soon is when an expiry is worth a word.
const soon = 14 * 24 * time.Hour

// Finding is one thing that Check looked at.
type Finding struct {
	// Key is the configuration key.
	Key string
	// Text says what was found.
	Text string
	// Err says what is wrong, nil if nothing is.
	Err error
}

func (f Finding) String() string {
	if f.Err != nil {
		return fmt.Sprintf("%s: %s", f.Key, strings.TrimPrefix(f.Err.Error(), f.Key+": "))
	}
	return fmt.Sprintf("%s: %s", f.Key, f.Text)
}

// Check looks at the files that a valid configuration names, as New would, without a socket and without starting
// anything. It never shows what a secret file holds.
func Check(cfg Config) []Finding {
	var all []Finding
	add := func(key, text string, err error) { all = append(all, Finding{key, text, err}) }

	n := &Node{cfg: cfg, deps: Deps{Registry: prometheus.NewRegistry()}, log: slog.New(slog.DiscardHandler)}
	if err := n.openIdentity(); err != nil {
		add("pki", "", err)
	} else {
		left := time.Until(n.identity.Expires())
		text := fmt.Sprintf("node %s of cluster %s, valid until %s", n.identity.Node(), n.identity.Cluster(),
			n.identity.Expires().Format(time.DateOnly))
		if left < soon {
			text += "; issue a new certificate soon"
		}
		add("pki", text, nil)
	}
	add("tokens.keys", "signing key found, not shown", n.openTokens())
	if _, err := ReadGossipKey(cfg.Gossip.Key); err != nil {
		add("gossip.key", "", err)
	} else {
		add("gossip.key", "32 bytes, not shown", nil)
	}
	if cfg.HTTP.Certificate != "" {
		add("http.certificate", "certificate and key belong together", n.openTLS())
	}
	if err := n.openGeo(); err != nil {
		add("geo", "", err)
	} else {
		add("geo.database", n.locator.Database().String(), nil)
		_ = n.locator.Close() // it was only read
	}
	if info, err := os.Stat(cfg.Data); err == nil && !info.IsDir() {
		add("data", "", fmt.Errorf("%s is not a folder", cfg.Data))
	} else if err != nil && !os.IsNotExist(err) {
		add("data", "", err)
	} else {
		add("data", filepath.Clean(cfg.Data), nil)
	}
	return all
}
