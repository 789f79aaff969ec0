package forward

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/pion/rtcp"
)

// line is a network with a rate and a queue, whose player reports arrivals ten times a second.
type line struct {
	t     *testing.T
	a     Arrivals
	now   int64   // the sender's clock
	rate  float64 // bits per second
	free  float64 // when it has sent what waits in it
	skew  int64   // the player's clock is ahead by so much
	loss  float64
	rng   *rand.Rand
	limit float64
	falls int

	base uint16
	came map[uint16]int64
}

func newLine(t *testing.T, rate float64) *line {
	return &line{t: t, now: 1_000_000, rate: rate, skew: 7277_000_000, rng: rand.New(rand.NewPCG(5, 6)), came: map[uint16]int64{}}
}

// send sends packets of 1,000 bytes at a rate for some seconds.
func (l *line) send(rate, seconds float64) {
	const size = 1000
	next := float64(l.now)
	reportAt := l.now + 100_000
	for end := l.now + int64(seconds*1e6); l.now < end; next += size * 8e6 / rate {
		l.now = int64(next)
		sequence := l.a.Depart(size, l.now)
		if l.rng.Float64() >= l.loss && l.free-next < 250_000 {
			l.free = max(l.free, next) + size*8e6/l.rate
			l.came[sequence] = int64(l.free) + 20_000 + l.skew
		}
		if l.now >= reportAt {
			reportAt += 100_000
			l.report()
		}
	}
}

// report tells what has come by now.
func (l *line) report() {
	var of []int64 // the arrival of each, 0 for none
	newest := -1
	for i := range 400 {
		at, ok := l.came[l.base+uint16(i)]
		if ok = ok && at-l.skew <= l.now; ok {
			newest = i
		} else {
			at = 0
		}
		of = append(of, at)
	}
	if newest < 0 {
		return
	}
	b := marshalArrivals(l.t, l.base, of[:newest+1])
	l.base += uint16(newest + 1)
	limit, tell, err := l.a.Report(b, l.now)
	if err != nil {
		l.t.Fatal(err)
	}
	if tell {
		if limit < l.limit {
			l.falls++
		}
		l.limit = limit
	}
}

// marshalArrivals makes a report by pion's encoder, which is not ours.
func marshalArrivals(t testing.TB, base uint16, of []int64) []byte {
	r := &rtcp.TransportLayerCC{
		MediaSSRC: 11, BaseSequenceNumber: base, PacketStatusCount: uint16(len(of)),
		Header: rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback},
	}
	var last int64
	var symbols []uint16
	for _, at := range of {
		if at == 0 {
			symbols = append(symbols, rtcp.TypeTCCPacketNotReceived)
			continue
		}
		if last == 0 {
			last = at / 64_000 * 64_000
			r.ReferenceTime = uint32(last / 64_000)
		}
		d := &rtcp.RecvDelta{Type: rtcp.TypeTCCPacketReceivedSmallDelta, Delta: (at - last) / 250 * 250}
		if d.Delta < 0 || d.Delta > 255*250 {
			d.Type = rtcp.TypeTCCPacketReceivedLargeDelta
		}
		last += d.Delta
		r.RecvDeltas = append(r.RecvDeltas, d)
		symbols = append(symbols, d.Type)
	}
	for len(symbols) > 0 {
		n := 1
		for n < len(symbols) && symbols[n] == symbols[0] {
			n++
		}
		if n >= 7 {
			r.PacketChunks = append(r.PacketChunks, &rtcp.RunLengthChunk{PacketStatusSymbol: symbols[0], RunLength: uint16(n)})
		} else {
			n = min(7, len(symbols))
			r.PacketChunks = append(r.PacketChunks, &rtcp.StatusVectorChunk{
				Type: rtcp.TypeTCCStatusVectorChunk, SymbolSize: rtcp.TypeTCCSymbolSizeTwoBit,
				SymbolList: append(append([]uint16(nil), symbols[:n]...), make([]uint16, 7-n)...),
			})
		}
		symbols = symbols[n:]
	}
	r.Header.Length = uint16(r.MarshalSize()/4 - 1)
	b, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestArrivalsOfACalmNetworkLetALimitGrow(t *testing.T) {
	l := newLine(t, 5_000_000)
	l.send(1_000_000, 2)
	first := l.limit
	l.send(1_000_000, 10)
	if first < 900_000 || first > 1_600_000 || l.limit < 1_450_000 || l.limit > 1_600_000 || l.falls != 0 {
		t.Errorf("from %.0f to %.0f bit/s with %d falls, want to half as much again as the 1 Mbit/s that arrive", first, l.limit, l.falls)
	}
}

func TestArrivalsOfALineThatNarrowsLetTheLimitFall(t *testing.T) {
	l := newLine(t, 2_000_000)
	l.send(1_500_000, 5)
	if l.falls != 0 {
		t.Errorf("%d falls on a line that is wide enough", l.falls)
	}
	l.rate = 300_000
	began := l.now
	for l.falls == 0 && l.now < began+3_000_000 {
		l.send(1_500_000, 0.1)
	}
	if !l.a.Full() {
		t.Error("the queue is not seen")
	}
	if took := l.now - began; took > 1_000_000 {
		t.Errorf("the first fall after %d us", took)
	}
	l.send(1_500_000, 2)
	if l.limit > 300_000 {
		t.Errorf("%.0f bit/s on a line of 300 kbit/s", l.limit)
	}
	l.send(150_000, 5)
	l.rate = 2_000_000
	l.send(150_000, 2)
	l.send(1_500_000, 12)
	if l.limit < 400_000 {
		t.Errorf("%.0f bit/s after the line is wide again", l.limit)
	}
}

func TestLossAloneLetsNoLimitOfArrivalsFall(t *testing.T) {
	l := newLine(t, 2_000_000)
	l.loss = 0.05
	l.send(1_200_000, 30)
	if l.falls != 0 || l.limit < 1_200_000 {
		t.Errorf("%.0f bit/s with %d falls after loss of 5 %%", l.limit, l.falls)
	}
}

func TestAClockThatIsSetBeginsAgain(t *testing.T) {
	for _, step := range []int64{-3600_000_000, 3600_000_000} {
		l := newLine(t, 2_000_000)
		l.send(1_200_000, 5)
		clear(l.came) // these stay untold
		l.skew += step
		l.send(1_200_000, 5)
		if l.falls != 0 || l.limit < 1_200_000 {
			t.Errorf("%.0f bit/s with %d falls after the clock was set by %d us", l.limit, l.falls, step)
		}
	}
}

func TestAnArrivalCountsOnce(t *testing.T) {
	var a Arrivals
	sequence := a.Depart(1000, 1_000_000)
	b := marshalArrivals(t, sequence, []int64{5_000_000})
	for range 100 {
		if _, _, err := a.Report(b, 1_100_000); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := a.Report(marshalArrivals(t, 700, []int64{5_000_000, 5_000_000}), 1_100_000); err != nil {
		t.Fatal(err)
	}
	if through := a.through(); through != 1000*8*5 { // over the first fifth of a second
		t.Errorf("%.0f bit/s have arrived of one packet of 1,000 bytes", through)
	}
}

func TestADamagedReportIsRefused(t *testing.T) {
	whole := marshalArrivals(t, 1, []int64{1_000_000, 1_001_000, 2_000_000})
	for n := range len(whole) - 3 { // the last bytes may be padding
		var a Arrivals
		if _, _, err := a.Report(whole[:n], 1); !errors.Is(err, ErrArrivals) {
			t.Errorf("of %d bytes %d are taken: %v", len(whole), n, err)
		}
	}
}

func TestArrivalsAllocateNothing(t *testing.T) {
	var a Arrivals
	of := make([]int64, 80)
	for i := range of {
		of[i] = 1_000_000 + int64(i)*1000
	}
	b, now := marshalArrivals(t, 0, of), int64(1)
	if n := testing.AllocsPerRun(100, func() {
		now += 100_000
		for range of {
			a.Depart(1000, now)
		}
		_, _, _ = a.Report(b, now)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzArrivals(f *testing.F) {
	f.Add(marshalArrivals(f, 0, []int64{1_000_000, 0, 1_001_000, 2_000_000}))
	f.Add(marshalArrivals(f, 0, make([]int64, 30)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var a Arrivals
		now := int64(1_000_000)
		for range 5 {
			for range 40 {
				now += 5000
				a.Depart(1000, now)
			}
			limit, tell, err := a.Report(b, now)
			if err != nil && tell && limit == 0 || math.IsNaN(limit) || limit < 0 || limit > highest {
				t.Fatalf("a limit of %v, %v", limit, err)
			}
		}
	})
}

func BenchmarkArrivals(b *testing.B) {
	var a Arrivals
	of := make([]int64, 80)
	for i := range of {
		of[i] = 1_000_000 + int64(i)*1000
	}
	now := int64(1)
	reports := make([][]byte, 0, 65536/80)
	for i := range cap(reports) {
		reports = append(reports, marshalArrivals(b, uint16(i*80), of))
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if i%len(reports) == 0 {
			a.next = 0
		}
		now += 100_000
		for range of {
			a.Depart(1000, now)
		}
		_, _, _ = a.Report(reports[i%len(reports)], now)
		i++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/80, "ns/packet")
}

func TestAReportOfFarTooManyPacketsIsRefusedUnread(t *testing.T) {
	report := make([]byte, 40)
	binary.BigEndian.PutUint16(report[14:], 65535) // so many packets
	for i := range 9 {
		binary.BigEndian.PutUint16(report[20+2*i:], 0x1fff) // runs of missing ones
	}
	heard := 0
	if err := eachArrival(report, func(uint16, int64) { heard++ }); !errors.Is(err, ErrArrivals) || heard != 0 {
		t.Errorf("%v, %d arrivals", err, heard)
	}
}
