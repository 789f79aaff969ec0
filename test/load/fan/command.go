package fan

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Plan is what is measured.
type Plan struct {
	Servers  []string
	Students int
	Rates    []int // of the video, bits per second
	Rounds   int
	Sink     string
	Idle     time.Duration // how long the idle cost is measured
	Warm     time.Duration // before the first rate
	For      time.Duration // how long each rate is measured
	Check    int           // students who decrypt everything
	Ramp     int           // students who join one after the other while the others watch
	Every    time.Duration // between two of those
	Burst    int           // students who join at once while the others watch
	At       int           // of those on their way at once; 0 means all
	Results  string        // a file that keeps the results of several runs
	Profiles string        // a folder for CPU profiles of the servers
}

// New makes the command "fan" and the hidden ones that its processes run.
func New() *cobra.Command {
	p := Plan{}
	var rates []string
	cmd := &cobra.Command{
		Use:   "fan",
		Short: "Measure what sending one track to many students costs, against two plain servers",
		Long:  help,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, r := range rates {
				bits, err := parseRate(r)
				if err != nil {
					return err
				}
				p.Rates = append(p.Rates, bits)
			}
			if err := p.validate(); err != nil {
				return err
			}
			return p.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&p.Servers, "servers", slices.Clone(servers), "which servers, in this order in each round")
	f.IntVarP(&p.Students, "students", "n", 200, "students who watch")
	f.StringSliceVar(&rates, "rates", []string{"500k", "2.5M"}, "bitrates of the video, one measured after the other")
	f.IntVar(&p.Rounds, "rounds", 3, "how often the servers take turns")
	f.StringVar(&p.Sink, "sink", sinkTUN, "where the students' packets end: "+strings.Join(sinks, ", "))
	f.DurationVar(&p.Idle, "idle", 3*time.Second, "how long the students are connected without a teacher")
	f.DurationVar(&p.Warm, "warm", 6*time.Second, "how long media flows before it is measured")
	f.DurationVar(&p.For, "dur", 6*time.Second, "how long each rate is measured")
	f.IntVar(&p.Check, "check", 2, "students who decrypt and compare everything they get")
	f.IntVar(&p.Ramp, "ramp", 0, "then so many join at --every while the others watch the first rate")
	f.DurationVar(&p.Every, "every", 50*time.Millisecond, "the time between two joins of the ramp")
	f.IntVar(&p.Burst, "burst", 0, "then so many join as fast as they can")
	f.IntVar(&p.At, "at", 0, "how many joins of the burst are on their way at once; 0 means all")
	f.StringVar(&p.Results, "results", "", "a file to which the results are added; the tables are of all that is in it")
	f.StringVar(&p.Profiles, "profiles", "", "a folder for a CPU profile of each server and rate, and one of its heap")
	server := &cobra.Command{
		Use: "server", Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return (&Server{}).serve() },
	}
	students := &cobra.Command{
		Use: "students", Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return (&Students{}).serve() },
	}
	cmd.AddCommand(server, students)
	return cmd
}

const help = `Measure what it costs a server to send one track to many students: Lyceum, a plain pion server with the default
interceptors ("pion") and the same without any ("bare"). Each server runs in a process of its own, the students in another;
the publisher and the book-keeping are in this one. The servers take turns, and each turn is: start, all students join,
idle, warm up, one window for each rate, then joins while the others watch.

What is counted
  CPU        user and system time of the server process, by getrusage, for each packet that came to a student.
             "net" is without what the same students cost while nobody published.
  packets    each student is a pion PeerConnection for SDP, ICE, DTLS and RTCP. Its media is counted by the RTP header at
             its address, each sequence number once; --check of them decrypt it too and compare every byte.
             "Of what was published" differs from 100 by what was on its way at either end of the window. More is a
             backlog, less a server that does not keep up: such rows are marked "!" and compared with none.
  lost       sequence numbers that were passed over. Nobody asks for them again. "Dropped by the sink" is what the
             students' own network lost of all packets: with any, the machine was too slow to measure.
  left out   packets of the publisher that the students of --check did not get, whatever the server's numbers say: a server
             that falls behind may skip to a later keyframe and number on without a hole.
  reports    a receiver report a second on both streams of each student.
  join CPU   that of the server, from the first POST to the last connection, before anybody publishes.
  memory     resident memory of the server after the last rate, less that before the first student, for each student;
             "settled" after the garbage was collected and given back.
  joins      from the POST to the first keyframe that is whole after decryption; the offers are made before.
             Who gets anything else before a keyframe asks for one, at most twice a second; who is answered 503 comes
             back after the time that the server says.

Media is made up: 30 frames a second in packets of at most 1,200 bytes, all frames of one size, a keyframe every 4 s and when
one is asked for; 50 packets of sound of 100 bytes. While the servers warm up it comes faster, so that pion's rings for
retransmission are full (they cost it more while they fill), unless the class is so large that a server falls behind.

Sinks
  tun        the students are behind a TUN device, read by the students' process: the server pays for the way out of the
             machine and for no delivery, and the kernel cuts trains of packets up (root on Linux).
  uso        the same, and the device takes trains whole, as many network cards do.
  socket     a socket on loopback for each student. The server pays for the delivery too.`

func parseRate(s string) (int, error) {
	var n float64
	var unit string
	if c, _ := fmt.Sscanf(s, "%g%s", &n, &unit); c < 1 || n <= 0 {
		return 0, fmt.Errorf("%q is not a bitrate such as 500k or 2.5M", s)
	}
	switch unit {
	case "":
	case "k":
		n *= 1e3
	case "M":
		n *= 1e6
	default:
		return 0, fmt.Errorf("%q is not a bitrate such as 500k or 2.5M", s)
	}
	return int(n + .5), nil
}

func (p *Plan) validate() error {
	for _, s := range p.Servers {
		if !slices.Contains(servers, s) {
			return fmt.Errorf("--servers: %q is none of %v", s, servers)
		}
	}
	switch {
	case !slices.Contains(sinks, p.Sink):
		return fmt.Errorf("--sink: %q is none of %v", p.Sink, sinks)
	case p.Students < 1 || p.Rounds < 1 || len(p.Rates) == 0 || len(p.Servers) == 0:
		return fmt.Errorf("there is nothing to measure without students, rounds, rates and servers")
	case p.Idle < time.Second || p.For < time.Second:
		return fmt.Errorf("--idle and --dur: less than a second measures nothing")
	case p.Warm <= 0:
		return fmt.Errorf("--warm: the servers must warm up for some time")
	}
	return nil
}

// pause lets a part of a measurement pass.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
