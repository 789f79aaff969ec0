package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"lyceum/cmd/node"
	"lyceum/routing/ticket"
)

const (
	demoRoom     = "demo"
	readyTimeout = time.Minute
	readyPoll    = 50 * time.Millisecond
	seatLife     = 24 * time.Hour
)

func newUp() *cobra.Command {
	u := &up{}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a mesh of three nodes in three regions on this machine",
		Long: "Start three nodes, each a process of its own that runs lyceum serve, with gossip, Raft, QUIC and WebRTC\n" +
			"between them on loopback, and open the room \"demo\". All ends with this command.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return u.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.BoolVar(&u.demo, "demo", false, "add a teacher who plays the embedded clip")
	f.BoolVar(&u.json, "json", false, "print one line of JSON when ready and nothing else")
	f.StringVar(&u.dir, "data", "", "the folder for keys, rooms and logs; empty makes a new one")
	f.IntVar(&u.base, "port", 0, "the first of 30 ports; 0 takes 7700, or the next that are free")
	f.StringVar(&u.media, "media", localhost, "the address of this machine on which nodes exchange media with browsers; Firefox\n"+
		"takes none from loopback addresses, so give it another one")
	return cmd
}

// up is one run of lyceum up.
type up struct {
	demo, json bool
	dir        string
	base       int
	media      string

	mesh     localMesh
	children *children
	nodes    []*child
	student  string // tokens
	teacher  string
}

func (u *up) run(ctx context.Context) (err error) {
	began := time.Now()
	if u.dir == "" {
		if u.dir, err = os.MkdirTemp("", "lyceum-up-"); err != nil {
			return fmt.Errorf("make a data folder: %w", err)
		}
	}
	if u.dir, err = filepath.Abs(u.dir); err != nil {
		return fmt.Errorf("find the data folder: %w", err)
	}
	if u.mesh, err = newLocalMesh(u.dir, u.base, u.media); err != nil {
		return err
	}
	if u.children, err = newChildren(filepath.Join(u.dir, "logs")); err != nil {
		return err
	}
	defer u.children.stop()
	if !u.json {
		fmt.Printf("Keys, rooms and logs are in %s. Starting three nodes ...\n", u.dir)
	}
	starting, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := u.start(starting); err != nil {
		if ctx.Err() != nil {
			return nil // interrupted
		}
		return err
	}
	seats := u.ready()
	if err := u.writeSeats(seats); err != nil {
		return err
	}
	if u.json {
		if err := json.NewEncoder(os.Stdout).Encode(seats); err != nil {
			return fmt.Errorf("print the ready line: %w", err)
		}
		<-ctx.Done()
		return nil
	}
	fixed := u.fixed(seats, time.Since(began))
	if !term.IsTerminal(int(os.Stdout.Fd())) {
		fmt.Print(fixed)
		for _, l := range u.living(ctx) {
			fmt.Println(l.text)
		}
		<-ctx.Done()
		return nil
	}
	(&picture{up: u, fixed: fixed, screen: os.Stdout}).show(ctx)
	return nil
}

// start brings up the nodes, the room and the teacher, and returns when a student could join.
func (u *up) start(ctx context.Context) error {
	keys, err := ticket.LoadKeys(localCluster, u.mesh.tokenKeys())
	if err != nil {
		return err
	}
	clip := ""
	for _, seat := range []struct {
		token   *string
		subject string
		role    ticket.Role
	}{{&u.teacher, "teacher", ticket.Teacher}, {&u.student, "student", ticket.Student}, {&clip, "clip", ticket.Teacher}} {
		*seat.token, err = keys.SignToken(ticket.Token{
			Subject: seat.subject, Name: seat.subject, Room: demoRoom, Role: seat.role,
			Expires: time.Now().Add(seatLife),
		})
		if err != nil {
			return fmt.Errorf("sign the %s's token: %w", seat.subject, err)
		}
	}
	for i, s := range sites {
		c, err := u.children.start(s.ID, "serve", "--config", u.mesh.config(i))
		if err != nil {
			return err
		}
		u.nodes = append(u.nodes, c)
	}
	for i, c := range u.nodes {
		if err := u.await(ctx, c, "to be ready", func() error { return u.isReady(ctx, i) }); err != nil {
			return err
		}
	}
	first := &adminClient{base: u.mesh.admin(0)}
	if err := u.await(ctx, u.nodes[0], "to open the room", func() error {
		var rooms node.RoomList
		if err := first.call(ctx, http.MethodGet, "/v1/rooms", nil, &rooms); err != nil || rooms.Has(demoRoom) {
			return err
		}
		return first.call(ctx, http.MethodPost, "/v1/rooms", node.NewRoom{Name: demoRoom, Title: "A demonstration"}, nil)
	}); err != nil {
		return err
	}
	for i, c := range u.nodes {
		a := &adminClient{base: u.mesh.admin(i)}
		if err := u.await(ctx, c, "to know the room", func() error {
			return a.call(ctx, http.MethodGet, "/v1/rooms/"+demoRoom, nil, nil)
		}); err != nil {
			return err
		}
	}
	if !u.demo {
		return nil
	}
	teacher, err := u.children.start("teacher", "publish", u.mesh.url(0)+"/whip/"+demoRoom, "--token", clip)
	if err != nil {
		return err
	}
	return u.await(ctx, teacher, "to be live", func() error {
		var room node.RoomInfo
		if err := first.call(ctx, http.MethodGet, "/v1/rooms/"+demoRoom, nil, &room); err != nil {
			return err
		}
		if !room.Live {
			return errors.New("nobody publishes in the room")
		}
		return nil
	})
}

// await repeats f until it succeeds, as long as the process c that it depends on runs. The error is f's last, with where
// to look.
func (u *up) await(ctx context.Context, c *child, what string, f func() error) error {
	log := u.children.logFile(c.name)
	for {
		err := f()
		if err == nil {
			return nil
		}
		if c.ended() {
			return fmt.Errorf("the process %s ended (%s); the end of %s:\n%s", c.name, c.how(), log, tail(log))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s %s: %w (its log is %s)", c.name, what, err, log)
		case <-time.After(readyPoll):
		}
	}
}

// isReady asks a node whether it takes people, has found the others, and can have rooms opened.
func (u *up) isReady(ctx context.Context, i int) error {
	a := &adminClient{base: u.mesh.admin(i)}
	if err := a.call(ctx, http.MethodGet, "/readyz", nil, nil); err != nil {
		return err
	}
	var list node.NodeList
	if err := a.call(ctx, http.MethodGet, "/v1/nodes", nil, &list); err != nil {
		return err
	}
	alive, led := 0, false
	for _, n := range list.Nodes {
		if n.Alive {
			alive++
		}
		led = led || n.Leader
	}
	switch {
	case alive < len(sites):
		return fmt.Errorf("it has found %d of %d nodes", alive, len(sites))
	case !led:
		return errors.New("the directory of rooms has no leader yet")
	}
	return nil
}

// tail is the end of a log, for an error that is printed.
func tail(path string) string {
	const most = 2048
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}
