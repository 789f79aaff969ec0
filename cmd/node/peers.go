package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// peerALPN is HTTP between nodes, one request to a QUIC stream, for what an operator or a page asks about a room.
const peerALPN = "node/1"

const (
	// peerTimeout is shorter than a page waits for an answer (2 s), so that a dead node does not make a living one look dead.
	peerTimeout = time.Second
	peerMax     = 1 << 20
	// countEvery is how long the counts of a room are kept: a class of 500 pages that ask every 3 s costs the room's
	// home one round of questions a second.
	countEvery = time.Second
)

// streams is what peers needs of a link.Endpoint.
type streams interface {
	Dial(ctx context.Context, node string) (net.Conn, error)
	Accept() (net.Conn, error)
	Close() error
}

// peers asks other nodes, and answers them.
type peers struct {
	// Set by newPeers, never changed.
	streams streams
	client  *http.Client
	server  *http.Server
}

func newPeers(s streams, handler http.Handler) *peers {
	return &peers{
		streams: s,
		client: &http.Client{Timeout: peerTimeout, Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
				node, _, err := net.SplitHostPort(addr)
				if err != nil {
					return nil, err
				}
				return s.Dial(ctx, node)
			},
		}},
		server: &http.Server{
			Handler: handler, ReadHeaderTimeout: peerTimeout, ReadTimeout: peerTimeout, WriteTimeout: peerTimeout,
			MaxHeaderBytes: 16 << 10,
		},
	}
}

// Run answers other nodes until ctx is done.
func (p *peers) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = p.server.Close() })
	defer stop()
	err := p.server.Serve(streamListener{p.streams})
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("answer other nodes: %w", err)
}

// room asks a node what it knows of a room.
func (p *peers) room(ctx context.Context, node, room string) (LocalRoom, error) {
	var r LocalRoom
	err := p.get(ctx, node, "/rooms/"+url.PathEscape(room), &r)
	return r, err
}

// get asks a node for a path and decodes the JSON of its answer.
func (p *peers) get(ctx context.Context, node, path string, out any) error {
	return p.call(ctx, http.MethodGet, node, path, nil, out)
}

// call sends a node a request, with in as JSON unless it is nil, and decodes the JSON of its answer.
func (p *peers) call(ctx context.Context, method, node, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return fmt.Errorf("ask %s: %w", node, err)
		}
	}
	rq, err := http.NewRequestWithContext(ctx, method, "http://"+node+path, &body)
	if err != nil {
		return fmt.Errorf("ask %s: %w", node, err)
	}
	rsp, err := p.client.Do(rq)
	if err != nil {
		return fmt.Errorf("ask %s: %w", node, err)
	}
	defer rsp.Body.Close()
	if rsp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask %s: it answered %s", node, rsp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(rsp.Body, peerMax)).Decode(out); err != nil {
		return fmt.Errorf("ask %s: %w", node, err)
	}
	return nil
}

// streamListener lets an http.Server accept streams.
type streamListener struct{ streams }

func (streamListener) Addr() net.Addr { return &net.UnixAddr{Name: peerALPN, Net: "quic"} }

// counts remembers for a moment what a question about a room gave, and asks once when many want to know.
type counts struct {
	asking singleflight.Group

	mu sync.Mutex
	// Guarded by mu.
	rooms map[string]count
}

// count is the answer about one room and when it was given.
type count struct {
	at   time.Time
	tree Tree
}

// get returns the remembered answer, or asks.
func (c *counts) get(room string, ask func() Tree) Tree {
	c.mu.Lock()
	old, ok := c.rooms[room]
	c.mu.Unlock()
	if ok && time.Since(old.at) < countEvery {
		return old.tree
	}
	tree, _, _ := c.asking.Do(room, func() (any, error) {
		t := ask()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.rooms == nil {
			c.rooms = map[string]count{}
		}
		maps.DeleteFunc(c.rooms, func(_ string, e count) bool { return time.Since(e.at) > countEvery })
		c.rooms[room] = count{time.Now(), t}
		return t, nil
	})
	return tree.(Tree)
}
