package directory

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkTenThousandRooms tells what a full day's directory costs. Three voters agree over loopback with their logs on
// disk, with Raft's real timeouts:
//
//	go test -run=none -bench=TenThousandRooms -benchtime=1x ./routing/directory
func BenchmarkTenThousandRooms(b *testing.B) {
	const rooms, hands = 10_000, 48
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / 1e6
	}
	for b.Loop() {
		before := heap()
		c := newCluster("a", "b", "c")
		c.heartbeat = time.Second
		nodes := c.startAll(b)
		lead, _ := leader(b, nodes)
		// each runs something for every room, from all nodes at once.
		each := func(do func(n *node, room string) error) (rate float64) {
			b.Helper()
			var wg sync.WaitGroup
			var next atomic.Int64
			began := time.Now()
			for h := range hands {
				wg.Go(func() {
					for i := next.Add(1); i <= rooms; i = next.Add(1) {
						if err := do(nodes[h%3], fmt.Sprintf("room-%05d", i)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			return rooms / time.Since(began).Seconds()
		}
		b.ReportMetric(each(func(n *node, room string) error {
			_, err := n.Open(b.Context(), Room{Name: room, Title: "A room of the tenth thousand"})
			return err
		}), "opens/s")
		b.ReportMetric(each(func(n *node, room string) error {
			_, err := n.Claim(b.Context(), room, n.id, 0)
			return err
		}), "claims/s")
		b.ReportMetric((heap()-before)/3, "MB/node")

		began := time.Now()
		if err := lead.raft.Load().Snapshot().Error(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "snapshot-s")
		lead.stop()
		began = time.Now()
		again := c.start(b, lead.id)
		again.shows(b, "all rooms and a leader", func() bool {
			return len(again.Rooms()) == rooms && again.Status().Ready && again.raft.Load().AppliedIndex() >= 2*rooms
		})
		b.ReportMetric(time.Since(began).Seconds(), "restart-s")
		for _, n := range append(nodes, again) {
			n.stop()
		}
	}
	b.ReportMetric(0, "ns/op")
}
