package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"
)

const (
	// giveUp is how long a publisher that never got in keeps trying when PublishConfig does not say.
	giveUp = 30 * time.Second
	// stateEvery is how often the state of a live publication is told.
	stateEvery = time.Second
)

// PublishConfig says what to publish where.
type PublishConfig struct {
	// URL is the WHIP endpoint of the room, https://node.example/whip/room.
	URL string
	// Origins are further WHIP endpoints of the same room, tried in this order while URL does not answer; empty means that
	// only URL is tried. They are given the token.
	Origins []string
	// Token is the bearer token; empty sends none.
	Token string
	// Layers is how many simulcast layers to send, 1 to 3, largest first; 0 means 3, or 1 if File is a single layer.
	Layers int
	// File is a clip to play instead of the embedded lecture: VP8 in a .ivf file, with Opus in a .ogg beside it; or the
	// prefix of name-q.ivf, name-h.ivf, name-f.ivf and name.ogg.
	File string
	// GiveUp is how long to keep trying when no server ever let the publisher in; 0 means 30 s. After the first success it
	// tries for ever.
	GiveUp time.Duration
	// HTTP is used for requests; nil means a client of its own.
	HTTP *http.Client
	// Logger is told when the publication begins and ends; nil discards.
	Logger *slog.Logger
	// SettingEngine may tune WebRTC, its ports for example; nil leaves it as it is.
	SettingEngine func(*webrtc.SettingEngine)
	// OnState is called when the publication begins, ends, and each second in between, by one goroutine; nil is not called.
	// It must not block.
	OnState func(State)
}

// Validate says what is wrong with the configuration.
func (c *PublishConfig) Validate() error {
	for _, u := range append([]string{c.URL}, c.Origins...) {
		if _, err := parseURL(u); err != nil {
			return err
		}
	}
	if c.Layers < 0 || c.Layers > len(rids) {
		return fmt.Errorf("layers is %d, but a publisher sends 1 to %d", c.Layers, len(rids))
	}
	if c.GiveUp < 0 {
		return errors.New("give up after a negative time")
	}
	return nil
}

// parseURL reads an absolute http or https URL.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is not an http or https URL", s)
	}
	return u, nil
}

// State is how a publication stands.
type State struct {
	// Live tells that media is being sent.
	Live bool
	// Host is the server that is or was published to last, host and port.
	Host string
	// Sessions counts how often the publisher was let in.
	Sessions int
	// Layers is how many layers are sent in the present session.
	Layers int
	// Keyframes counts the requests for a keyframe, Packets and Bytes what was sent, over all sessions.
	Keyframes, Packets, Bytes uint64
	// Err is why the publisher is not live; nil at the beginning.
	Err error
}

// publisher is one publication over all its sessions.
type publisher struct {
	// Set by Publish, never changed.
	cfg    PublishConfig
	clip   *clip
	api    *webrtc.API
	signal *signaller
	urls   []*url.URL
	log    *slog.Logger

	// Counted by the goroutines of a session.
	keyframes, packets, bytes atomic.Uint64

	// Owned by run.
	state State
}

// Publish plays a clip into a room until ctx is done, and returns nil then. A session that ends is begun again, at the other
// origins if need be. It returns an error when the configuration is at fault, when a server refuses the publisher for a
// reason that time does not cure, or when none ever let it in.
func Publish(ctx context.Context, cfg PublishConfig) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	p := &publisher{cfg: cfg, signal: newSignaller(cfg.HTTP, nil), log: cfg.Logger}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if p.cfg.GiveUp == 0 {
		p.cfg.GiveUp = giveUp
	}
	for _, u := range append([]string{cfg.URL}, cfg.Origins...) {
		parsed, err := parseURL(u)
		if err != nil {
			return err
		}
		p.urls = append(p.urls, parsed)
	}
	layers := cfg.Layers
	if layers == 0 {
		layers = len(rids)
		if isSingle(cfg.File) {
			layers = 1
		}
	}
	var err error
	if p.clip, err = openClip(cfg.File, layers); err != nil {
		return err
	}
	if p.api, err = newPublishAPI(cfg.SettingEngine); err != nil {
		return err
	}
	return p.run(ctx)
}

// run begins one session after the other.
func (p *publisher) run(ctx context.Context) error {
	began := time.Now()
	pause := backoff{first: 100 * time.Millisecond, max: 2 * time.Second}
	for at := 0; ; {
		let, err := p.session(ctx, p.urls[at])
		if ctx.Err() != nil {
			return nil
		}
		if let {
			pause.reset()
			at = 0
			p.log.Info("publication interrupted", "host", p.state.Host, "err", err)
		} else {
			e, _ := errors.AsType[*StatusError](err)
			switch {
			case e != nil && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden):
				return fmt.Errorf("publish: %w", err)
			case p.state.Sessions == 0 && refused(err):
				return fmt.Errorf("publish: %w", err)
			case p.state.Sessions == 0 && time.Since(began) > p.cfg.GiveUp:
				return fmt.Errorf("publish: no server let the publisher in within %s: %w", p.cfg.GiveUp, err)
			}
			at = (at + 1) % len(p.urls)
			p.log.Debug("publishing failed", "err", err)
		}
		p.state.Err = err
		p.tell(false)
		if !rest(ctx, pause.next()) {
			return nil
		}
	}
}

// session publishes once. It reports whether the publisher was let in, and why it ended.
func (p *publisher) session(ctx context.Context, to *url.URL) (let bool, err error) {
	pc, err := p.api.NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle})
	if err != nil {
		return false, fmt.Errorf("open a connection: %w", err)
	}
	peer := newPeer(pc)
	stage, err := newStage(pc, p)
	if err != nil {
		return false, errors.Join(err, pc.Close())
	}
	defer stage.readers.Wait()
	defer pc.Close() //nolint:errcheck // nothing is lost with it
	a, err := peer.exchange(ctx, func(ctx context.Context, offer string) (answered, error) {
		return p.signal.offer(ctx, to, p.cfg.Token, offer)
	})
	defer func() {
		if derr := p.signal.end(ctx, a); derr != nil {
			p.log.Debug("ending the session failed", "err", derr)
		}
	}()
	if err != nil {
		return false, err
	}
	if err := peer.connected(ctx); err != nil {
		return false, fmt.Errorf("connect to %s: %w", a.host, err)
	}
	p.state.Sessions++
	p.state.Host = a.host
	p.state.Err = nil
	p.state.Layers = stage.agree(a.sdp)
	p.log.Info("publishing", "host", a.host, "layers", p.state.Layers)
	p.tell(true)
	return true, stage.run(ctx, peer.down, func() { p.tell(true) })
}

// tell reports the state.
func (p *publisher) tell(live bool) {
	if p.cfg.OnState == nil {
		return
	}
	s := p.state
	s.Live = live
	s.Keyframes, s.Packets, s.Bytes = p.keyframes.Load(), p.packets.Load(), p.bytes.Load()
	p.cfg.OnState(s)
}
