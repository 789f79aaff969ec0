package node

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"lyceum/edge/page"
	"lyceum/routing/api"
	"lyceum/routing/wish"
)

// Limits of the HTTP servers. A body has its own bound and time where it is read.
const (
	headerTime = 5 * time.Second
	idleTime   = 2 * time.Minute
	maxHeader  = 16 << 10
	stopTime   = 2 * time.Second
)

// openHTTP makes the two handlers: what people may call, and what operators may.
func (n *Node) openHTTP() error {
	whipHandler, err := n.newWHIP()
	if err != nil {
		return fmt.Errorf("whip: %w", err)
	}
	whepHandler, err := n.newWHEP()
	if err != nil {
		return fmt.Errorf("whep: %w", err)
	}
	pages, err := page.New(page.Config{FrameAncestors: n.cfg.HTTP.Frames})
	if err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	n.peers = newPeers(n.endpoint.Streams(peerALPN), n.peerHandler())
	public := http.NewServeMux()
	public.Handle("/whip/", whipHandler)
	public.Handle("/whep/", whepHandler)
	public.Handle("/v1/", api.New(api.Config{
		Node: n.cfg.Node, Keys: n.keys, Room: n.rooms.Room, Members: n.gossip.Members, Locate: n.locator.Locate,
		Client: n.client, Assigner: &n.assigner, Origins: n.cfg.HTTP.Origins, Look: n.look,
	}))
	public.Handle("/", pages)
	n.public = public
	n.admin = n.adminHandler()
	return nil
}

func (n *Node) client(r *http.Request) netip.Addr { return clientAddr(r, n.proxies) }

// serve serves a handler until ctx is done, over TLS if there is a certificate.
func (n *Node) serve(ctx context.Context, l net.Listener, h http.Handler, cfg HTTP) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
	}
	if cfg.Certificate != "" {
		cert, err := tls.LoadX509KeyPair(cfg.Certificate, cfg.Key)
		if err != nil {
			return fmt.Errorf("http.certificate: %w", err)
		}
		srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			_ = srv.Close() // whoever still waits is cut off
		}
	})
	var err error
	if cfg.Certificate != "" {
		err = srv.ServeTLS(l, "", "")
	} else {
		err = srv.Serve(l)
	}
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// answerJSON makes a handler of a function that returns what is to be sent.
func answerJSON(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := f(r)
		if err != nil {
			wish.WriteError(w, adminError(err))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		_ = enc.Encode(v) // the caller may be gone
	}
}
