package origin

import (
	"errors"
	"log/slog"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"

	"lyceum/mesh/relay"
)

// Config configures an Origin.
type Config struct {
	// Hub holds the tracks that publishers write. Required.
	Hub *relay.Hub
	// Engine gives the sockets, addresses and timeouts of a new peer connection. It must not fix a DTLS role, since
	// some publishers can take only one. Nil takes pion's defaults: a new socket for each publisher.
	Engine func() webrtc.SettingEngine
	// Certificate is for DTLS; nil makes one for each publisher, which costs a key.
	Certificate *webrtc.Certificate
	// ConnectTimeout is how long a publisher may take from its answer to its connection; 0 means 30 s.
	ConnectTimeout time.Duration
	// Registerer takes the metrics; nil means none are kept.
	Registerer prometheus.Registerer
	// Logger is for publishers that come and go; nil discards.
	Logger *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Validate says in the operator's words what is wrong with the configuration.
func (c *Config) Validate() error {
	switch {
	case c.Hub == nil:
		return errors.New("publishers have nowhere to write to: the hub is missing")
	case c.ConnectTimeout < 0:
		return errors.New("the time for a publisher to connect cannot be negative")
	}
	return nil
}
