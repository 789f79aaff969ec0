package edge

import (
	"errors"
	"log/slog"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"

	"lyceum/edge/fan"
	"lyceum/mesh/relay"
)

// Config configures an Edge.
type Config struct {
	// Hub holds the tracks that are served. Required.
	Hub *relay.Hub
	// Engine gives the sockets, addresses and timeouts of a new peer connection. It must not fix a DTLS role. Nil takes
	// pion's defaults: a new socket for each subscriber.
	Engine func() webrtc.SettingEngine
	// Fan is the sockets that Engine's connections share, so that what goes to many students goes in few system calls. Nil
	// means that they share none.
	Fan *fan.Fan
	// Certificate is for DTLS; nil makes one for each subscriber, which costs a key.
	Certificate *webrtc.Certificate
	// MaxSubscribers is how many subscribers there may be at once; 0 means no limit.
	MaxSubscribers int
	// ConnectTimeout is how long a subscriber may take from its answer to its connection, and how long a connection may
	// be interrupted; 0 means 30 s.
	ConnectTimeout time.Duration
	// Registerer takes the metrics; nil means none are kept.
	Registerer prometheus.Registerer
	// Logger is for subscribers that come and go; nil discards.
	Logger *slog.Logger
}

// Validate says in the operator's words what is wrong with the configuration.
func (c *Config) Validate() error {
	switch {
	case c.Hub == nil:
		return errors.New("subscribers have nowhere to read from: the hub is missing")
	case c.MaxSubscribers < 0:
		return errors.New("the number of subscribers cannot be negative")
	case c.ConnectTimeout < 0:
		return errors.New("the time for a subscriber to connect cannot be negative")
	}
	return nil
}
