// Package sim is one simulated network for QUIC, ICE, gossip and Raft.
//
// It joins hosts of one process, best inside a testing/synctest bubble: then an hour of class takes a moment and a
// delay is exact. Each pair of hosts has a Path with delay, jitter, loss, reordering and a bounded line rate, and can be
// cut. A Host offers what a machine offers: UDP sockets (for quic-go and pion), listeners and connections in the manner
// of TCP (for HTTP and gossip), a memberlist transport, a pion SettingEngine and an HTTP client.
//
//	synctest.Test(t, func(t *testing.T) {
//		n := sim.New(t, sim.Path{Delay: 20 * time.Millisecond})
//		fra, sin := n.Host("fra", "192.0.2.1"), n.Host("sin", "192.0.2.2")
//		n.SetPath(fra, sin, sim.Path{Delay: 80 * time.Millisecond, Loss: 0.01})
//		...
//	})
//
// All chance comes from one seed, the test's name unless SIM_SEED says another; a failing test logs it.
//
// What differs from the world: the acknowledgements of streams take no time, an unknown address is silent over UDP, and
// nothing is fragmented (larger datagrams than 1472 bytes are refused).
//
// Inside a bubble, make certificates after the bubble has begun: its clock starts at midnight UTC 2000-01-01, and what
// was made by the real clock is not valid yet. Close every QUIC transport, peer connection and server before the test
// function returns, or in t.Cleanup: a bubble's clock stops when its test ends.
package sim
