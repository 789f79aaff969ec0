package client

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
)

// maxStudents bounds a class: each student has a socket of its own for every address of the machine, and a process seldom
// may open more than some ten thousand files.
const maxStudents = 5000

// WatchConfig says who watches what for how long.
type WatchConfig struct {
	// URL is the WHEP endpoint of the room, https://node.example/whep/room. A student first asks that node where to watch,
	// as a browser does, and watches at URL itself where the server has no answer to that.
	URL string
	// Token is the bearer token; empty sends none. It is given to the node of URL and, when that is gone, to the nodes that
	// it named as fallbacks.
	Token string
	// Students is how many watch; 0 means 1.
	Students int
	// Ramp is the time over which they come in, evenly; 0 means all at once.
	Ramp time.Duration
	// For is how long to watch after the ramp; 0 means until ctx is done.
	For time.Duration
	// Header is sent with every request, X-Forwarded-For for example; nil adds nothing.
	Header http.Header
	// HTTP is used for requests; nil means a client of its own.
	HTTP *http.Client
	// Logger is told, at debug level, when a session of a student ends early; nil discards.
	Logger *slog.Logger
	// SettingEngine may tune WebRTC; nil leaves it as it is.
	SettingEngine func(*webrtc.SettingEngine)
	// OnProgress is called each second with what was measured so far, by one goroutine; nil is not called.
	OnProgress func(Report)
}

// Validate says what is wrong with the configuration.
func (c *WatchConfig) Validate() error {
	if _, err := parseURL(c.URL); err != nil {
		return err
	}
	if c.Students < 0 || c.Students > maxStudents {
		return fmt.Errorf("%d students, but one process carries 1 to %d", c.Students, maxStudents)
	}
	if c.Ramp < 0 || c.For < 0 {
		return errors.New("a time to watch or to come in is negative")
	}
	return nil
}

// class is what the students of one Watch share.
type class struct {
	// Set by Watch, never changed.
	cfg    WatchConfig
	api    *webrtc.API
	certs  []webrtc.Certificate
	signal *signaller
	log    *slog.Logger
	whep   *url.URL
	node   *url.URL // where whep is
	room   string   // empty if the URL does not tell
	begun  time.Time

	// Safe for concurrent use.
	latency, joining, firstPacket, firstKeyframe histogram
	students                                     []*student
}

// Watch lets a class of students watch a room and reports what reached them, when the time is over or ctx is done. Students
// who could not watch are part of the report; an error means that nobody could even try.
func Watch(ctx context.Context, cfg WatchConfig) (Report, error) {
	if err := cfg.Validate(); err != nil {
		return Report{}, err
	}
	c, err := newClass(cfg)
	if err != nil {
		return Report{}, err
	}
	watching, over := context.WithCancel(ctx)
	defer over()
	if cfg.For > 0 {
		defer time.AfterFunc(cfg.Ramp+cfg.For, over).Stop()
	}
	var all sync.WaitGroup
	all.Go(func() {
		for i, s := range c.students {
			at := time.Duration(int64(cfg.Ramp) * int64(i) / int64(len(c.students)))
			if !rest(watching, time.Until(c.begun.Add(at))) {
				return
			}
			all.Go(func() { s.run(watching) })
		}
	})
	left := make(chan struct{})
	go func() {
		all.Wait()
		close(left)
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-watching.Done():
			end := time.Now()
			<-left
			return c.report(end), nil
		case <-left: // everybody was refused
			return c.report(time.Now()), nil
		case now := <-tick.C:
			if cfg.OnProgress != nil {
				cfg.OnProgress(c.report(now))
			}
		}
	}
}

// newClass prepares the students.
func newClass(cfg WatchConfig) (*class, error) {
	c := &class{cfg: cfg, signal: newSignaller(cfg.HTTP, cfg.Header), log: cfg.Logger, begun: time.Now()}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if c.whep, err = parseURL(cfg.URL); err != nil {
		return nil, err
	}
	c.node, c.room = splitWHEP(c.whep)
	if c.api, err = newWatchAPI(cfg.SettingEngine); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	c.certs = []webrtc.Certificate{*cert}
	for range max(cfg.Students, 1) {
		c.students = append(c.students, &student{class: c})
	}
	return c, nil
}

// splitWHEP takes https://node/whep/room apart; room is empty if the URL has another shape.
func splitWHEP(u *url.URL) (node *url.URL, room string) {
	dir, last := path.Split(u.EscapedPath())
	node = &url.URL{Scheme: u.Scheme, Host: u.Host}
	if before, ok := strings.CutSuffix(dir, "/whep/"); ok && last != "" {
		if name, err := url.PathUnescape(last); err == nil {
			return node.JoinPath(before), name
		}
	}
	return node, ""
}
