package sim

import (
	"encoding/binary"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// shower sends datagrams at a steady pace and returns the numbers that arrived and how long each one took.
func shower(t *testing.T, p Path, count, size int, gap time.Duration) (order []int, took map[int]time.Duration, tr Traffic) {
	t.Helper()
	n := New(t, Path{})
	a, b := n.Host("a", "192.0.2.1"), n.Host("b", "192.0.2.2")
	n.SetPathOneWay(a, b, p)
	from, to := a.PacketConn(0), b.PacketConn(0)
	took = map[int]time.Duration{}
	done := make(chan struct{})
	start := time.Now()
	go func() {
		defer close(done)
		buf := make([]byte, maxDatagram)
		for {
			if _, _, err := to.ReadFrom(buf); err != nil {
				return
			}
			i := int(binary.BigEndian.Uint32(buf))
			order = append(order, i)
			took[i] = time.Since(start) - time.Duration(i)*gap
		}
	}()
	b2 := make([]byte, size)
	for i := range count {
		binary.BigEndian.PutUint32(b2, uint32(i))
		if _, err := from.WriteTo(b2, to.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(gap)
	}
	time.Sleep(time.Minute)
	_ = to.Close()
	<-done
	return order, took, n.Traffic(a, b)
}

func TestLossIsAsOftenAsSaid(t *testing.T) {
	for name, p := range map[string]Path{
		"none":   {},
		"random": {Loss: 0.02},
		"bursts": {Loss: 0.02, Burst: 5},
		"all":    {Loss: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const count = 20000
				order, took, tr := shower(t, p, count, 10, time.Millisecond)
				if got := 1 - float64(len(order))/count; math.Abs(got-p.Loss) > 0.006 {
					t.Errorf("%.4f of the packets are lost, want %.4f", got, p.Loss)
				}
				if tr.Packets != count || int(tr.Lost) != count-len(order) {
					t.Errorf("traffic %+v", tr)
				}
				if p.Burst > 1 {
					runs := 0
					for i := 1; i < count; i++ {
						_, now := took[i]
						if _, before := took[i-1]; before && !now {
							runs++
						}
					}
					if mean := float64(tr.Lost) / float64(runs); math.Abs(mean-p.Burst) > 1.5 {
						t.Errorf("%.1f packets are lost in a row, want %.1f", mean, p.Burst)
					}
				}
			})
		})
	}
}

func TestJitterKeepsOrderAndReorderBreaksIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		order, took, _ := shower(t, Path{Delay: 50 * time.Millisecond, Jitter: 10 * time.Millisecond}, 1000, 10, time.Millisecond)
		var early, late int
		for i, k := range order {
			if i != k {
				t.Fatalf("packet %d arrived as number %d", k, i)
			}
			switch d := took[k]; {
			case d < 40*time.Millisecond || d > 60*time.Millisecond:
				t.Fatalf("packet %d took %v", k, d)
			case d < 50*time.Millisecond:
				early++
			default:
				late++
			}
		}
		if early == 0 || late == 0 {
			t.Errorf("%d packets were early and %d late", early, late)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		order, _, _ := shower(t, Path{Delay: 50 * time.Millisecond, Reorder: 0.1}, 1000, 10, time.Millisecond)
		overtaken := 0
		for i := 1; i < len(order); i++ {
			if order[i] < order[i-1] {
				overtaken++
			}
		}
		if len(order) != 1000 || overtaken < 50 || overtaken > 150 {
			t.Errorf("%d arrived, %d were overtaken", len(order), overtaken)
		}
	})
}

func TestLineHasARateAndABoundedQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// 972 bytes and headers are 8,000 bits: one each millisecond fills 8 Mbit/s.
		_, took, tr := shower(t, Path{Rate: 8_000_000}, 1000, 972, time.Millisecond)
		if tr.Full != 0 || took[999] != time.Millisecond {
			t.Errorf("at the line's rate %d were dropped and the last one took %v", tr.Full, took[999])
		}
	})
	synctest.Test(t, func(t *testing.T) {
		order, took, tr := shower(t, Path{Rate: 8_000_000, Queue: 20 * time.Millisecond}, 1000, 972, 500*time.Microsecond)
		if len(order) < 500 || len(order) > 530 || int(tr.Full) != 1000-len(order) {
			t.Errorf("at twice the line's rate %d arrived, %d were dropped", len(order), tr.Full)
		}
		for i, d := range took {
			if d > 22*time.Millisecond {
				t.Fatalf("packet %d waited %v for the line", i, d)
			}
		}
	})
}

func TestChanceIsRepeatable(t *testing.T) {
	run := func() (got int) {
		synctest.Test(t, func(t *testing.T) {
			order, _, _ := shower(t, Path{Loss: 0.5}, 100, 10, time.Millisecond)
			for _, k := range order {
				got = got*31 + k
			}
		})
		return got
	}
	if a, b := run(), run(); a != b {
		t.Errorf("two runs with one seed lose other packets: %d and %d", a, b)
	}
	first := run()
	t.Setenv(SeedVariable, "1")
	if run() == first {
		t.Error("another seed loses the same packets")
	}
}
