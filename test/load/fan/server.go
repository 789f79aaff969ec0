package fan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"sync"
)

// The servers that are compared.
const (
	// serverNode is Lyceum: cmd/node, assembled as "lyceum serve" does it.
	serverNode = "lyceum"
	// serverPion is a plain pion server: a TrackLocalStaticRTP for each kind, shared by all students, and the interceptors of
	// webrtc.RegisterDefaultInterceptors.
	serverPion = "pion"
	// serverBare is the same without any interceptor.
	serverBare = "bare"
)

var servers = []string{serverNode, serverPion, serverBare}

// Doors are where a server is reached, and with what.
type Doors struct {
	// WHIP and WHEP are URLs.
	WHIP, WHEP string
	// TeacherToken and Students are the bearer tokens for them; empty where none is asked for.
	TeacherToken, Students string
	// Admin is the URL of a node's admin listener, empty for the plain servers.
	Admin string
}

// Server is a server in a process of its own, as its parent calls it.
type Server struct {
	// Set by Start.
	doors   Doors
	running sync.WaitGroup
	stop    context.CancelFunc
	profile *os.File
}

// Begin is what a server begins with.
type Begin struct {
	// Kind is serverNode, serverPion or serverBare.
	Kind string
	// Address is the IP address that media is served at.
	Address string
	// Dir is a folder for keys and rooms.
	Dir string
}

// Start starts the server and waits until it serves.
func (s *Server) Start(b Begin, doors *Doors) (err error) {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	var run func(context.Context) error
	switch b.Kind {
	case serverNode:
		run, s.doors, err = newNode(b)
	case serverPion, serverBare:
		run, s.doors, err = newPlain(b)
	default:
		err = fmt.Errorf("%q is none of %v", b.Kind, servers)
	}
	if err != nil {
		stop()
		return err
	}
	failed := make(chan error, 1)
	s.running.Go(func() {
		if err := run(ctx); err != nil {
			failed <- err
			fmt.Fprintln(os.Stderr, "the server ended:", err)
		}
	})
	if s.doors.Admin != "" {
		if err := openRoom(ctx, s.doors.Admin, failed); err != nil {
			return err
		}
	}
	*doors = s.doors
	return nil
}

// Usage tells what the process has used so far.
func (s *Server) Usage(_ struct{}, u *Usage) (err error) {
	*u, err = readUsage()
	return err
}

// Settle collects the garbage, gives what is free back to the system, and tells what is used after that.
func (s *Server) Settle(_ struct{}, u *Usage) (err error) {
	debug.FreeOSMemory()
	*u, err = readUsage()
	return err
}

// Profile begins a CPU profile in a file. An empty name ends it.
func (s *Server) Profile(file string, _ *struct{}) (err error) {
	if file == "" {
		pprof.StopCPUProfile()
		return s.profile.Close()
	}
	if s.profile, err = os.Create(file); err != nil {
		return fmt.Errorf("write a profile: %w", err)
	}
	return pprof.StartCPUProfile(s.profile)
}

// Heap writes a profile of what is on the heap to a file.
func (s *Server) Heap(file string, _ *struct{}) error {
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("write a profile: %w", err)
	}
	return errors.Join(pprof.WriteHeapProfile(f), f.Close())
}

// serve obeys the parent until it goes, then ends the server.
func (s *Server) serve() error {
	err := serveChild("Server", s)
	if s.stop != nil {
		s.stop()
	}
	s.running.Wait()
	return err
}
