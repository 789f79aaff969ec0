package fan

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// save adds turns to a file, one a line.
func save(file string, turns []Turn) (err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("keep the results: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	e := json.NewEncoder(f)
	for _, t := range turns {
		if err := e.Encode(t); err != nil {
			return fmt.Errorf("keep the results: %w", err)
		}
	}
	return nil
}

// load reads what save has written.
func load(file string) (turns []Turn, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read earlier results: %w", err)
	}
	defer f.Close()
	for d := json.NewDecoder(bufio.NewReader(f)); ; {
		var t Turn
		if err := d.Decode(&t); errors.Is(err, io.EOF) {
			return turns, nil
		} else if err != nil {
			return nil, fmt.Errorf("read earlier results from %s: %w", file, err)
		}
		turns = append(turns, t)
	}
}

// perPacket is the CPU time of a delivered packet in microseconds, with and without what the same students cost idle.
func (w Window) perPacket(t Turn) (gross, net float64) {
	cpu, n := float64(w.User+w.System)/1e3, float64(max(1, w.Delivered))
	return cpu / n, (cpu - float64(t.Idle)/1e3*w.For.Seconds()) / n
}

// series is a figure of several turns.
type series []float64

// String is the median, with the smallest and the largest where there are several.
func (s series) String() string {
	switch len(s) {
	case 0:
		return "-"
	case 1:
		return figure(s[0])
	}
	return fmt.Sprintf("%s (%s-%s)", figure(s.median()), figure(slices.Min(s)), figure(slices.Max(s)))
}

func (s series) median() float64 {
	s = slices.Sorted(slices.Values(s))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

func figure(v float64) string {
	if v >= 100 || v <= -100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// collect takes a figure from each turn of a server, a class size and a sink; take returns false where there is none.
func collect(turns []Turn, of Turn, take func(Turn) (float64, bool)) (s series) {
	for _, t := range turns {
		if t.Server != of.Server || t.Students != of.Students || t.Sink != of.Sink {
			continue
		}
		if v, ok := take(t); ok {
			s = append(s, v)
		}
	}
	return s
}

// at takes a figure from the window of a bitrate.
func at(bitrate int, take func(Turn, Window) float64) func(Turn) (float64, bool) {
	return func(t Turn) (float64, bool) {
		for _, w := range t.Rates {
			if w.Bitrate == bitrate {
				return take(t, w), true
			}
		}
		return 0, false
	}
}

func gross(t Turn, w Window) float64     { g, _ := w.perPacket(t); return g }
func netOfIdle(t Turn, w Window) float64 { _, n := w.perPacket(t); return n }

// leftOut is how much of what was published the students who decrypt did not get, in percent.
func leftOut(_ Turn, w Window) float64 {
	return 100 * float64(w.Missing) / float64(max(1, w.Published*uint64(w.Checks)))
}

// share is how much of what was published came while it was published, in percent.
func share(t Turn, w Window) float64 {
	return 100 * float64(w.Delivered) / float64(max(1, w.Published*uint64(t.Students)))
}

// keepsUp reports whether the servers of a kind sent what was published, no less and no backlog either. What is on its way at
// the ends of a window of a few seconds makes a difference of one in a hundred or so.
func keepsUp(turns []Turn, k Turn, bitrate int) bool {
	s := collect(turns, k, at(bitrate, share))
	return len(s) > 0 && slices.Min(s) > 96 && slices.Max(s) < 104
}

// kinds are the turns with different servers, class sizes or sinks, in the order in which they first came.
func kinds(turns []Turn) (out []Turn) {
	for _, t := range turns {
		same := func(o Turn) bool { return o.Server == t.Server && o.Students == t.Students && o.Sink == t.Sink }
		if !slices.ContainsFunc(out, same) {
			out = append(out, t)
		}
	}
	slices.SortStableFunc(out, func(a, b Turn) int { return a.Students - b.Students })
	return out
}

func bitrates(turns []Turn) (out []int) {
	for _, t := range turns {
		for _, w := range t.Rates {
			if !slices.Contains(out, w.Bitrate) {
				out = append(out, w.Bitrate)
			}
		}
	}
	slices.Sort(out)
	return out
}

func rateName(bitrate int) string {
	if bitrate < 1e6 {
		return fmt.Sprintf("%g kbps", float64(bitrate)/1e3)
	}
	return fmt.Sprintf("%g Mbps", float64(bitrate)/1e6)
}

// write prints the tables of all turns.
func write(w io.Writer, turns []Turn) {
	fmt.Fprint(w, "Median of the turns, with the smallest and the largest; [target].\n\n")
	writeCost(w, turns)
	writeRatios(w, turns)
	writeStudents(w, turns)
	writeArrivals(w, turns)
	var checked, decrypted, broken uint64
	for _, t := range turns {
		checked, decrypted, broken = checked+t.Checked, decrypted+t.Decrypted, broken+t.Broken
	}
	fmt.Fprintf(w, "Students who decrypt counted %d packets, could decrypt %d of them, and found %d not as they were sent.\n",
		checked, decrypted, broken)
}

func writeCost(w io.Writer, turns []Turn) {
	fmt.Fprint(w, "| server | students | sink | video | CPU per packet, µs | net of idle | of it user | packets/s | of what was published, % | lost, % | left out, % | dropped by the sink | allocations per packet | turns |\n"+
		"|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, rate := range bitrates(turns) {
		for _, k := range kinds(turns) {
			get := func(take func(Turn, Window) float64) series { return collect(turns, k, at(rate, take)) }
			g := get(gross)
			if len(g) == 0 {
				continue
			}
			mark := ""
			if !keepsUp(turns, k, rate) {
				mark = " !"
			}
			fmt.Fprintf(w, "| %s | %d | %s | %s | %s | %s | %s | %s | %s | %s | %s | %.0f | %s | %d |\n", k.Server, k.Students, k.Sink, rateName(rate), g,
				get(netOfIdle),
				figure(get(func(_ Turn, w Window) float64 { return float64(w.User) / 1e3 / float64(max(1, w.Delivered)) }).median()),
				figure(get(func(_ Turn, w Window) float64 { return float64(w.Delivered) / w.For.Seconds() }).median()),
				figure(get(share).median())+mark,
				get(func(_ Turn, w Window) float64 { return 100 * float64(w.Lost) / float64(max(1, w.Lost+w.Delivered)) }),
				get(leftOut),
				slices.Max(get(func(_ Turn, w Window) float64 { return float64(w.Dropped) })),
				figure(get(func(_ Turn, w Window) float64 { return float64(w.Mallocs) / float64(max(1, w.Delivered)) }).median()),
				len(g))
		}
	}
	fmt.Fprintln(w)
}

// goal is how many times less than a plain server a packet is to cost.
func goal(bitrate int, plain string) string {
	switch {
	case bitrate == 500_000 && plain == serverPion:
		return " [4]"
	case bitrate == 500_000 && plain == serverBare:
		return " [2.7]"
	case bitrate == 2_500_000 && plain == serverPion:
		return " [6]"
	case bitrate == 2_500_000 && plain == serverBare:
		return " [4]"
	}
	return ""
}

func writeRatios(w io.Writer, turns []Turn) {
	fmt.Fprint(w, "| what | students | sink | video | ratio of CPU per packet | net of idle |\n|---|---|---|---|---|---|\n")
	for _, rate := range bitrates(turns) {
		for _, k := range kinds(turns) {
			us := Turn{Server: serverNode, Students: k.Students, Sink: k.Sink}
			own, ownNet := collect(turns, us, at(rate, gross)), collect(turns, us, at(rate, netOfIdle))
			theirs, theirNet := collect(turns, k, at(rate, gross)), collect(turns, k, at(rate, netOfIdle))
			if !keepsUp(turns, us, rate) || !keepsUp(turns, k, rate) {
				continue
			}
			if k.Server != serverNode {
				fmt.Fprintf(w, "| %s to %s | %d | %s | %s | %.2f%s | %.2f |\n", k.Server, serverNode, k.Students, k.Sink, rateName(rate),
					theirs.median()/own.median(), goal(rate, k.Server), theirNet.median()/ownNet.median())
				continue
			}
			for _, few := range kinds(turns) {
				base := collect(turns, few, at(rate, gross))
				if few.Server == serverNode && few.Sink == k.Sink && few.Students < k.Students && keepsUp(turns, few, rate) {
					fmt.Fprintf(w, "| %d students to %d | %d | %s | %s | %.2f [1.1] | %.2f |\n", k.Students, few.Students, k.Students, k.Sink,
						rateName(rate), own.median()/base.median(), ownNet.median()/collect(turns, few, at(rate, netOfIdle)).median())
				}
			}
		}
	}
	fmt.Fprintln(w)
}

func writeStudents(w io.Writer, turns []Turn) {
	fmt.Fprint(w, "| server | students | sink | join CPU, ms [7] | idle CPU of a student, µs/s | memory of a student, kB [260] | settled | goroutines |\n"+
		"|---|---|---|---|---|---|---|---|\n")
	for _, k := range kinds(turns) {
		get := func(take func(Turn) float64) series {
			return collect(turns, k, func(t Turn) (float64, bool) { return take(t), true })
		}
		fmt.Fprintf(w, "| %s | %d | %s | %s | %s | %s | %s | %s |\n", k.Server, k.Students, k.Sink,
			get(func(t Turn) float64 { return t.Join.Seconds() * 1e3 }),
			get(func(t Turn) float64 { return t.Idle.Seconds() * 1e6 / float64(t.Students) }),
			get(func(t Turn) float64 { return t.Resident / 1e3 }), get(func(t Turn) float64 { return t.Settled / 1e3 }),
			figure(get(func(t Turn) float64 { return t.Goroutines }).median()))
	}
	fmt.Fprintln(w)
}

// writeArrivals prints one line for each turn: their worst is what counts.
func writeArrivals(w io.Writer, turns []Turn) {
	if !slices.ContainsFunc(turns, func(t Turn) bool { return t.Ramp != nil || t.Burst != nil }) {
		return
	}
	fmt.Fprint(w, "First whole keyframe of those who join while others watch, ms.\n\n"+
		"| server | watching | joins | p50 | p95 | longest | told to come later | failed | all within, s | CPU, s | lost of those who watch | left out for those who decrypt | dropped by the sink | keyframes asked for | in the worst second [1] |\n"+
		"|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, t := range turns {
		for _, a := range []*Arrival{t.Ramp, t.Burst} {
			if a == nil {
				continue
			}
			how, target := fmt.Sprintf("%d at once", len(a.Took)+a.Failed), "[1000]"
			if a.Every > 0 {
				how, target = fmt.Sprintf("%d at %.0f/s", len(a.Took)+a.Failed, float64(time.Second)/float64(a.Every)), "[300]"
			}
			slices.Sort(a.Took)
			ms := func(q float64) float64 {
				if len(a.Took) == 0 {
					return -1
				}
				return a.Took[min(len(a.Took)-1, int(q*float64(len(a.Took))))].Seconds() * 1e3
			}
			fmt.Fprintf(w, "| %s | %d | %s | %.0f | %.0f %s | %.0f | %d | %d %s | %.1f | %.2f | %d of %d | %d | %d | %d | %d |\n", t.Server, t.Students, how,
				ms(.5), ms(.95), target, ms(1), a.Refused, a.Failed, a.Why, a.For.Seconds(), a.CPU.Seconds(), a.Lost, a.Lost+a.Delivered,
				a.Missing, a.Dropped, a.Keyframes, a.MostKeyframes)
		}
	}
	fmt.Fprintln(w)
}
