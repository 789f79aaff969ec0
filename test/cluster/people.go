package cluster

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"lyceum/cmd/client"
	"lyceum/routing/ticket"
	"lyceum/test/sim"
)

// person gives a new person a host and a token.
func (c *Cluster) person(room string, role ticket.Role) (*sim.Host, string) {
	c.t.Helper()
	c.people++
	id := fmt.Sprintf("%s-%d", role, c.people)
	token, err := c.keys.SignToken(ticket.Token{Subject: id, Room: room, Role: role, Expires: time.Now().Add(12 * time.Hour)})
	if err != nil {
		c.t.Fatal(err)
	}
	return c.Net.Host(id, fmt.Sprintf("198.51.100.%d", c.people)), token
}

// engine lets a peer connection live on a host of the network.
func engine(h *sim.Host) func(*webrtc.SettingEngine) {
	return func(s *webrtc.SettingEngine) { *s = h.SettingEngine() }
}

// Teacher is somebody who publishes the clip.
type Teacher struct {
	c    *Cluster
	stop context.CancelFunc
	done chan error

	mu sync.Mutex
	// Guarded by mu.
	state client.State
}

// Teach lets a teacher come to a room at a node, and waits until they are live.
func (c *Cluster) Teach(room string, at *Node) *Teacher {
	c.t.Helper()
	host, token := c.person(room, ticket.Teacher)
	ctx, stop := context.WithCancel(context.Background())
	t := &Teacher{c: c, stop: stop, done: make(chan error, 1)}
	go func() {
		t.done <- client.Publish(ctx, client.PublishConfig{
			URL: at.cfg.HTTP.URL + "/whip/" + room, Token: token, HTTP: httpClient(host), SettingEngine: engine(host),
			OnState: func(s client.State) {
				t.mu.Lock()
				defer t.mu.Unlock()
				t.state = s
			},
		})
	}()
	c.t.Cleanup(t.Leave)
	c.Eventually("the teacher is live", func() bool { return t.State().Live })
	return t
}

// State is how the teacher's publication stands.
func (t *Teacher) State() client.State {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

// Leave ends the publication in order.
func (t *Teacher) Leave() {
	t.stop()
	if err := <-t.done; err != nil {
		t.c.t.Errorf("the teacher ended with: %v", err)
	}
	t.done <- nil
}

// Students are some people who watch a room from one host.
type Students struct {
	c      *Cluster
	stop   context.CancelFunc
	report chan client.Report

	mu sync.Mutex
	// Guarded by mu.
	now client.Report
}

// Watch lets n students come to a room at a node, all at once.
func (c *Cluster) Watch(room string, at *Node, n int) *Students { return c.WatchOver(room, at, n, 0) }

// WatchOver lets n students come to a room at a node, evenly over some time.
func (c *Cluster) WatchOver(room string, at *Node, n int, ramp time.Duration) *Students {
	c.t.Helper()
	host, token := c.person(room, ticket.Student)
	ctx, stop := context.WithCancel(context.Background())
	s := &Students{c: c, stop: stop, report: make(chan client.Report, 1)}
	go func() {
		r, err := client.Watch(ctx, client.WatchConfig{
			URL: at.cfg.HTTP.URL + "/whep/" + room, Token: token, Students: n, Ramp: ramp, HTTP: httpClient(host),
			SettingEngine: engine(host),
			OnProgress: func(r client.Report) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.now = r
			},
		})
		if err != nil {
			c.t.Errorf("the students: %v", err)
		}
		s.report <- r
	}()
	c.t.Cleanup(func() { s.Leave() })
	return s
}

// Now is what the students have measured so far, as of the last full second.
func (s *Students) Now() client.Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// AllWatch waits until every student has seen a whole keyframe.
func (s *Students) AllWatch(n int) {
	s.c.t.Helper()
	s.c.Eventually(fmt.Sprintf("%d students watch", n), func() bool { return s.Now().Watching == n })
}

// Leave lets the students go and returns what they measured.
func (s *Students) Leave() client.Report {
	s.stop()
	r := <-s.report
	s.report <- r
	return r
}

func httpClient(h *sim.Host) *http.Client { return h.Client() }
