package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"lyceum/mesh/media"
	"lyceum/mesh/pki"
	"lyceum/mesh/relay"
)

// How an end carries the tracks.
const (
	byLink   = "link"   // a link joins the tracks of two nodes
	byStream = "stream" // bare streams join the same tracks
	byBytes  = "bytes"  // publishers write into bare streams, and what comes out is counted: there are no tracks at all
)

// endTimeout bounds the handshake of an end.
const endTimeout = 20 * time.Second

// End is one end of a connection whose CPU is measured, in a process of its own.
type End struct {
	Carry   string        // byLink, byStream or byBytes
	To      string        // the parent's address; empty at the parent
	Secrets string        // the folder with the certificates
	Tracks  int           // of 3 Mbps
	Stripes int           // of the link
	Warm    time.Duration // before the measurement
	For     time.Duration
	Profile string // the file for a CPU profile of the measured time; empty for none

	out io.Writer
}

// Cost is what an end measured.
type Cost struct {
	Packets int64   `json:"packets"`
	CPU     float64 `json:"cpu_us"` // microseconds of all packets
}

func (c Cost) perPacket() float64 { return c.CPU / float64(max(1, c.Packets)) }

// over is how many times as much as o it is.
func (c Cost) over(o Cost) float64 { return c.perPacket() / max(o.perPacket(), 1e-9) }

func newEnd() *cobra.Command {
	var e End
	cmd := &cobra.Command{
		Use: "end", Short: "Be one end of a connection for load hop", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e.out = cmd.OutOrStdout()
			c, err := e.run(cmd.Context())
			if err != nil {
				return err
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(c)
		},
	}
	f := cmd.Flags()
	f.StringVar(&e.Carry, "carry", byLink, "link, stream or bytes")
	f.StringVar(&e.To, "to", "", "the parent's address")
	f.StringVar(&e.Secrets, "secrets", "", "the folder with the certificates")
	f.IntVar(&e.Tracks, "tracks", 1, "tracks of 3 Mbps")
	f.IntVar(&e.Stripes, "stripes", 0, "stripes of the link")
	f.DurationVar(&e.Warm, "warm", time.Second, "before the measurement")
	f.DurationVar(&e.For, "dur", time.Second, "how long is measured")
	f.StringVar(&e.Profile, "profile", "", "the file for a CPU profile of the measured time")
	return cmd
}

func (e *End) arguments() []string {
	return []string{
		"end", "--carry", e.Carry, "--to", e.To, "--secrets", e.Secrets, "--tracks", fmt.Sprint(e.Tracks),
		"--stripes", fmt.Sprint(e.Stripes), "--warm", e.Warm.String(), "--dur", e.For.String(),
		"--profile", e.Profile,
	}
}

// run carries and measures. A parent tells its address first.
func (e *End) run(ctx context.Context) (c Cost, err error) {
	ctx, cancel := context.WithTimeout(ctx, endTimeout+e.Warm+e.For+drain)
	defer cancel()
	who := childID
	if e.To == "" {
		who = parentID
	}
	in := func(name string) string { return filepath.Join(e.Secrets, name) }
	id, err := pki.LoadIdentity(in("ca.pem"), in(who+".pem"), in(who+".key"))
	if err != nil {
		return c, err
	}
	feeds := newFeeds(e.Tracks, fullRate)
	var count atomic.Int64
	measured := func(ctx context.Context) error {
		c, err = e.measure(ctx, &count)
		return err
	}
	if e.Carry != byLink {
		return c, e.bare(ctx, id, feeds, &count, measured)
	}
	n, err := newNode(id, e.To, e.Stripes, slog.New(slog.DiscardHandler))
	if err != nil {
		return c, err
	}
	if e.To == "" {
		fmt.Fprintln(e.out, n.conn.LocalAddr())
		err = until(ctx, measured, n.run, func(ctx context.Context) error { return n.publish(ctx, feeds, &count) })
		return c, err
	}
	err = until(ctx, measured, n.run, func(ctx context.Context) error { return watch(ctx, n.hub, feeds, &count) })
	return c, err
}

// bare carries by bare streams, with tracks at both ends or without.
func (e *End) bare(ctx context.Context, id *pki.Identity, feeds []*feed, count *atomic.Int64, measured func(context.Context) error) error {
	conn, err := listenLoopback()
	if err != nil {
		return err
	}
	defer conn.Close()
	hub := relay.NewHub(relay.Config{})
	var tracks []*relay.Track
	for _, f := range feeds {
		t, release := hub.Acquire(f.id)
		defer release()
		t.Start(f.info())
		tracks = append(tracks, t)
	}
	if e.To != "" {
		take := func(int, *media.Packet) { count.Add(1) }
		others := []func(context.Context) error{hub.Run}
		if e.Carry == byStream {
			take = func(track int, p *media.Packet) {
				if track < len(tracks) {
					tracks[track].Write(p)
				}
			}
			others = append(others, func(ctx context.Context) error { return watch(ctx, hub, feeds, count) })
		}
		return until(ctx, measured, append(others, func(ctx context.Context) error { return bareRead(ctx, conn, id, e.To, take) })...)
	}
	fmt.Fprintln(e.out, conn.LocalAddr())
	streams, end, err := bareAccept(ctx, conn, id, len(feeds))
	if err != nil {
		return err
	}
	defer end()
	var outlets []outlet
	for i := range feeds {
		if e.Carry == byStream {
			outlets = append(outlets, tracks[i])
		} else {
			outlets = append(outlets, streams[i])
		}
	}
	return until(ctx, measured, hub.Run, func(ctx context.Context) error { return publish(ctx, feeds, outlets, count) },
		func(ctx context.Context) error {
			if e.Carry == byStream {
				bareSend(ctx, tracks, streams)
			}
			<-ctx.Done()
			return nil
		})
}

// until runs tasks until the first one ends.
func until(ctx context.Context, first func(context.Context) error, others ...func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return together(ctx, append(others, func(ctx context.Context) error {
		defer cancel()
		return first(ctx)
	})...)
}

// measure waits for the first packet and for the warm-up, then counts packets and CPU.
func (e *End) measure(ctx context.Context, count *atomic.Int64) (c Cost, err error) {
	for count.Load() == 0 {
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return c, fmt.Errorf("no packet came: %w", err)
		}
	}
	if err := pause(ctx, e.Warm); err != nil {
		return c, err
	}
	if e.Profile != "" {
		file, err := os.Create(e.Profile)
		if err != nil {
			return c, fmt.Errorf("write a CPU profile: %w", err)
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return c, fmt.Errorf("write a CPU profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	packets := count.Load()
	cpu, err := cpuTime()
	if err != nil {
		return c, err
	}
	if err := pause(ctx, e.For); err != nil {
		return c, err
	}
	after, err := cpuTime()
	if err != nil {
		return c, err
	}
	c = Cost{Packets: count.Load() - packets, CPU: float64((after - cpu).Microseconds())}
	// The other end may have begun a moment later; it still measures.
	return c, pause(ctx, time.Second)
}

// counting counts the packets that go into an outlet.
type counting struct {
	outlet
	count *atomic.Int64
}

func (c counting) Write(p *media.Packet) bool {
	c.count.Add(1)
	return c.outlet.Write(p)
}

// publish plays all feeds until ctx is done.
func publish(ctx context.Context, feeds []*feed, outlets []outlet, count *atomic.Int64) error {
	var wg sync.WaitGroup
	for i, f := range feeds {
		f.ledgers = []*ledger{nil} // nobody looks at single frames here
		wg.Go(func() { newSource(f, counting{outlets[i], count}).run(ctx) })
	}
	wg.Wait()
	return nil
}

// publish plays all feeds as soon as the child wants them.
func (n *node) publish(ctx context.Context, feeds []*feed, count *atomic.Int64) error {
	var outlets []outlet
	for _, f := range feeds {
		t, release := n.hub.Acquire(f.id)
		defer release()
		info := f.info()
		t.Start(info)
		if err := wanted(ctx, t, info.Set()); err != nil {
			return err
		}
		outlets = append(outlets, t)
	}
	return publish(ctx, feeds, outlets, count)
}

// watch reads all feeds until ctx is done.
func watch(ctx context.Context, hub *relay.Hub, feeds []*feed, count *atomic.Int64) error {
	var wg sync.WaitGroup
	for _, f := range feeds {
		t, release := hub.Acquire(f.id)
		defer release()
		info := f.info()
		wg.Go(func() { read(ctx, t, info.Set(), func(*media.Packet) { count.Add(1) }) })
	}
	wg.Wait()
	return nil
}

// read reads a track until ctx is done.
func read(ctx context.Context, t *relay.Track, layers media.LayerSet, take func(p *media.Packet)) {
	r := t.NewReader()
	defer r.Close()
	r.Want(layers)
	var p media.Packet
	for {
		for r.Next(&p) {
			take(&p)
		}
		select {
		case <-r.Wait():
		case <-ctx.Done():
			return
		}
	}
}
