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

// Limits of the HTTP servers. A body has its own bound where it is read. The times to read and to write are for a phone
// on a bad line that sends an offer or fetches a page, and end what is slower on purpose.
const (
	headerTime = 5 * time.Second
	readTime   = 15 * time.Second
	writeTime  = time.Minute
	idleTime   = 2 * time.Minute
	maxHeader  = 16 << 10
	stopTime   = 2 * time.Second
)

// openHTTP makes the two handlers: what people may call, and what operators may.
func (n *Node) openHTTP() (err error) {
	if n.whip, err = n.newWHIP(); err != nil {
		return fmt.Errorf("whip: %w", err)
	}
	if n.whep, err = n.newWHEP(); err != nil {
		return fmt.Errorf("whep: %w", err)
	}
	pages, err := page.New(page.Config{FrameAncestors: n.cfg.HTTP.Frames})
	if err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	n.peers = newPeers(n.endpoint.Streams(peerALPN), n.peerHandler())
	public := http.NewServeMux()
	public.Handle("/whip/", n.whip)
	public.Handle("/whep/", n.whep)
	public.Handle("/v1/", api.New(api.Config{
		Node: n.cfg.Node, Keys: n.keys, Room: n.room, Members: n.gossip.Members, Locate: n.locator.Locate,
		Client: n.client, Assigner: &n.assigner, Origins: n.cfg.HTTP.Origins, Look: n.look,
	}))
	public.Handle("/", pages)
	n.public = public
	n.admin = n.adminHandler()
	return nil
}

func (n *Node) client(r *http.Request) netip.Addr { return clientAddr(r, n.proxies) }

// serve serves a handler until ctx is done, over TLS if that is set up.
func (n *Node) serve(ctx context.Context, l net.Listener, h http.Handler, secure *tls.Config) error {
	srv := &http.Server{
		Handler: h, TLSConfig: secure, ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime,
		IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
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
	if secure != nil {
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
