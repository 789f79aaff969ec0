package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	// subscribeWithin bounds the handshakes and subscriptions before a measurement.
	subscribeWithin = 20 * time.Second
	// drain is how long the last frames may take, beyond a round trip or two.
	drain = 3 * time.Second
	// wholeFor is how long a layer must miss nothing to count as back.
	wholeFor = 2 * time.Second
)

// Setup is how a row is measured.
type Setup struct {
	Stripes int           // of the link; 0 leaves the number to the link
	Warm    time.Duration // before the measurement begins
	For     time.Duration // of each part
	Seed    uint64        // of the losses
	Logger  *slog.Logger  // of the nodes; must not be nil
}

// Result is what a row measured. Times are in milliseconds.
type Result struct {
	Row     string `json:"row"`
	Stripes int    `json:"stripes"` // at the end
	Asked   int    `json:"stripes_asked"`

	Frames   int    `json:"frames"`
	Missing  int    `json:"missing"`
	Ordered  Spread `json:"in_order_ms"`
	Complete Spread `json:"complete_ms"`
	Keys     Spread `json:"keyframe_ms"`
	Packets  Spread `json:"packet_ms"` // each packet by itself

	Layers []LayerResult `json:"layers,omitempty"` // of a row with several

	Sounds     int    `json:"audio_packets"`
	SoundsLost int    `json:"audio_lost"`
	Sound      Spread `json:"audio_ms"`

	PerPacket float64 `json:"quic_per_rtp"` // QUIC packets towards the child for each RTP packet
	Resets    float64 `json:"resets"`       // chunks that were taken back
	Dropped   float64 `json:"dropped"`      // packets that the link gave up
	RTT       float64 `json:"rtt_ms"`       // as the link measured it
	Down      Traffic `json:"down"`         // what the middlebox saw towards the child
	Lag       float64 `json:"lag_p99_ms"`   // of this machine's timers
}

// LayerResult is one layer of a row whose path changes in the middle.
type LayerResult struct {
	Frames        int     `json:"frames"` // before the change
	Before        Spread  `json:"in_order_before_ms"`
	MissingBefore int     `json:"missing_before"`
	After         Spread  `json:"in_order_after_ms"`
	MissingAfter  int     `json:"missing_after"`
	Back          float64 `json:"back_s"` // from the change until nothing was missing any more; -1 for never
}

// Noisy means that the machine was too busy for the result to be trusted.
func (r *Result) Noisy() bool { return r.Lag > millis(lagLimit) }

// measure runs a row: two nodes, a middlebox between them, publishers here and readers there.
func measure(ctx context.Context, row Row, s Setup) (res Result, err error) {
	parts := time.Duration(1)
	if row.Then != nil {
		parts = 2
	}
	ctx, cancel := context.WithTimeout(ctx, subscribeWithin+s.Warm+parts*s.For+2*drain)
	defer cancel()
	parentCert, childCert, err := identities()
	if err != nil {
		return res, err
	}
	parent, err := newNode(parentCert, "", s.Stripes, s.Logger)
	if err != nil {
		return res, err
	}
	addr := parent.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	box, err := newMiddlebox(addr, row.Path, s.Seed)
	if err != nil {
		_ = parent.conn.Close()
		return res, err
	}
	to := box.addr()
	if row.Direct {
		to = addr.String()
	}
	child, err := newNode(childCert, to, s.Stripes, s.Logger)
	if err != nil {
		_, _ = parent.conn.Close(), box.front.Close()
		return res, err
	}
	ctx, end := context.WithCancel(ctx)
	script := func(ctx context.Context) error {
		defer end()
		res, err = play(ctx, row, s, parent, child, box)
		return err
	}
	if err := together(ctx, parent.run, child.run, box.run, script); err != nil {
		return res, fmt.Errorf("measure %s: %w", row.Name, err)
	}
	return res, nil
}

// play publishes, watches and adds up.
func play(ctx context.Context, row Row, s Setup, parent, child *node, box *middlebox) (Result, error) {
	feeds := newFeeds(row.Cams, row.Rates...)
	var watching, publishing, lagging sync.WaitGroup
	sinks, stopSinks := context.WithCancel(ctx)
	live, stopSources := context.WithCancel(ctx)
	defer func() {
		stopSources()
		stopSinks()
		publishing.Wait()
		watching.Wait()
		lagging.Wait()
	}()
	waiting, cancel := context.WithTimeout(ctx, subscribeWithin)
	defer cancel()
	var sources []*source
	for _, f := range feeds {
		f.spaced = row.Spaced
		up, releaseUp := parent.hub.Acquire(f.id)
		defer releaseUp()
		up.Start(f.info())
		sources = append(sources, newSource(f, up))
		down, releaseDown := child.hub.Acquire(f.id)
		defer releaseDown()
		watching.Go(func() { sink(sinks, f, down) })
		info := f.info()
		if err := wanted(waiting, up, info.Set()); err != nil {
			return Result{}, err
		}
	}
	for _, src := range sources {
		publishing.Go(func() { src.run(live) })
	}
	if err := pause(ctx, s.Warm); err != nil {
		return Result{}, err
	}

	var lags []time.Duration
	lagging.Go(func() { lags = watchLag(live) })
	from, before := time.Now(), box.down.traffic()
	if err := pause(ctx, s.For); err != nil {
		return Result{}, err
	}
	change := time.Now()
	if row.Then != nil {
		box.set(*row.Then)
		if err := pause(ctx, s.For); err != nil {
			return Result{}, err
		}
	}
	to, after := time.Now(), box.down.traffic()
	stopSources()
	publishing.Wait()
	lagging.Wait()
	res := Result{Row: row.Name, Asked: s.Stripes, Lag: millis(percentile(lags, .99)), Down: sub(after, before)}
	for _, l := range child.links.Status() {
		res.Stripes, res.RTT = l.Stripes, l.RTT
	}
	if err := settle(ctx, feeds, 2*row.Path.Delay+drain); err != nil {
		return Result{}, err
	}
	res.count(row, feeds, from, change, to)
	return res, errors.Join(
		parent.count(&res.Resets, "lyceum_link_chunks_cancelled_total"),
		parent.count(&res.Dropped, "lyceum_link_packets_dropped_total"),
	)
}

func sub(a, b Traffic) Traffic {
	return Traffic{
		Packets: a.Packets - b.Packets, Bytes: a.Bytes - b.Bytes, Lost: a.Lost - b.Lost, Full: a.Full - b.Full, Cut: a.Cut - b.Cut,
	}
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

// settle waits until everything has arrived, but no longer than a limit.
func settle(ctx context.Context, feeds []*feed, limit time.Duration) error {
	whole := func() bool {
		for _, f := range feeds {
			if slices.ContainsFunc(f.ledgers, func(l *ledger) bool { return !l.whole() }) {
				return false
			}
		}
		return true
	}
	for end := time.Now().Add(limit); !whole() && time.Now().Before(end); {
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// count adds up what the ledgers say. A row whose path changes counts its base layer as the row and all layers apart.
func (r *Result) count(row Row, feeds []*feed, from, change, to time.Time) {
	var video, sound delays
	packets := 0
	for _, f := range feeds {
		for l, led := range f.ledgers {
			packets += led.packets(from, to)
			switch d := led.delays(from, to); {
			case f.sound():
				sound.add(d)
			case l == 0:
				video.add(d)
			}
			if row.Then != nil && !f.sound() {
				a, b := led.delays(from, change), led.delays(change, to)
				layer := LayerResult{
					Before: spread(a.ordered), After: spread(b.ordered), Frames: a.frames,
					MissingBefore: a.missing, MissingAfter: b.missing, Back: -1,
				}
				if d, ok := led.back(change, to, wholeFor); ok {
					layer.Back = d.Seconds()
				}
				r.Layers = append(r.Layers, layer)
			}
		}
	}
	r.Frames, r.Missing = video.frames, video.missing
	r.Ordered, r.Complete, r.Keys = spread(video.ordered), spread(video.complete), spread(video.keys)
	r.Packets = spread(video.packets)
	r.Sounds, r.SoundsLost, r.Sound = sound.frames, sound.missing, spread(sound.complete)
	if packets > 0 {
		r.PerPacket = float64(r.Down.Packets) / float64(packets)
	}
}
