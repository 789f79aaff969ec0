package main

import "time"

// Row is one line of the table: a path, what goes over it, and what is to be reached.
type Row struct {
	Name  string
	Path  Path
	Cams  int   // tracks of video
	Rates []int // bits per second of the layers of each
	// Then is the path of a second part, as long as the first. Nil means that there is none.
	Then *Path
	// Direct joins the nodes without a middlebox; Path is then of no account.
	Direct bool
	// Spaced is the pause between the packets of a frame. 0 writes them at once.
	Spaced time.Duration

	// What is to be reached, in milliseconds: the delay of frames in order. 0 means no target.
	P50, P99 float64
}

// way is a path of a round-trip time and a loss.
func way(rtt time.Duration, loss float64) Path { return Path{Delay: rtt / 2, Loss: loss} }

// with changes a path.
func (p Path) with(change func(p *Path)) Path {
	change(&p)
	return p
}

// narrow is the path of the bottleneck, with a queue as deep as its round trip.
func narrow(rate int64) Path {
	return Path{Delay: 50 * time.Millisecond, Rate: rate, Queue: 100 * time.Millisecond}
}

// hops are what "load hop" measures.
func hops() []Row {
	one := []int{fullRate}
	return []Row{
		{Name: "frames written at once", Direct: true, Cams: 1, Rates: one, P50: 1, P99: 5},
		{Name: "ten tracks, frames written at once", Direct: true, Cams: 10, Rates: one},
		{Name: "packets paced", Direct: true, Spaced: 250 * time.Microsecond, Cams: 1, Rates: one},
	}
}

// rows are what "load link" measures.
func rows() []Row {
	const ms = time.Millisecond
	one := []int{fullRate}
	wider := narrow(6_000_000)
	return []Row{
		{Name: "rtt50-0.1", Path: way(50*ms, .001), Cams: 1, Rates: one, P50: 28, P99: 80},
		{Name: "rtt100-1", Path: way(100*ms, .01), Cams: 1, Rates: one, P50: 55, P99: 200},
		{
			Name: "rtt100-burst3", Path: way(100*ms, .01).with(func(p *Path) { p.Burst = 3 }), Cams: 1, Rates: one,
			P50: 60, P99: 200,
		},
		{Name: "rtt250-2", Path: way(250*ms, .02), Cams: 1, Rates: one, P50: 200, P99: 500},
		{Name: "ten-rtt100-1", Path: way(100*ms, .01), Cams: 10, Rates: one, P50: 80, P99: 220},
		{Name: "ten-rtt100-0.1", Path: way(100*ms, .001), Cams: 10, Rates: one, P50: 55, P99: 120},
		{
			Name: "bottleneck", Path: narrow(3_000_000), Then: &wider, Cams: 1, Rates: []int{500_000, 1_200_000, 2_800_000},
		},
		{
			Name: "jitter-reorder", Cams: 1, Rates: one,
			Path: way(100*ms, .001).with(func(p *Path) { p.Jitter, p.Reorder, p.ReorderBy = 10*ms, .005, 8*ms }),
		},
		{Name: "clean", Path: way(100*ms, 0), Cams: 1, Rates: one},
	}
}
