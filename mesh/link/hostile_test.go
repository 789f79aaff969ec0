package link

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"lyceum/mesh/media"
	"lyceum/mesh/wire"
)

// greetAs opens stripe 0 of a link by hand.
func greetAs(t *testing.T, e *Endpoint, h wire.Hello) (*quic.Conn, *quic.Stream, *wire.Reader) {
	t.Helper()
	conn, err := e.dial(t.Context(), "h", wire.Protocol, joinTimeout, false)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := conn.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Write(wire.AppendMessage(nil, &h)); err != nil {
		t.Fatal(err)
	}
	return conn, stream, wire.NewReader(stream)
}

func hello(node string) wire.Hello {
	return wire.Hello{Versions: wire.Versions(wire.Version), Node: node, Link: 1, Stripes: 1, Boot: 1}
}

// heartbeats keeps a link alive by hand until its connection ends.
func heartbeats(conn *quic.Conn) {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		_ = conn.SendDatagram(wire.AppendHeartbeat(nil, wire.Heartbeat{Sent: time.Now().UnixMicro()}))
		select {
		case <-ticker.C:
		case <-conn.Context().Done():
			return
		}
	}
}

func deaf(ctx context.Context, conn *quic.Conn, _ string) { <-conn.Context().Done() }

func TestHostileChildIsCutOff(t *testing.T) {
	tests := []struct {
		name   string
		hello  wire.Hello
		say    []byte
		reason string
	}{
		{"garbage", hello("r"), bytes.Repeat([]byte{3, 5, 0xff}, 100), "protocol"},
		{"endless message", hello("r"), []byte{3, 0xff, 0xff, 0xff, 0x7f}, "protocol"},
		{"a parent's message", hello("r"), wire.AppendMessage(nil, &wire.GoAway{}), "protocol"},
		{"a subscription twice", hello("r"), bytes.Repeat(wire.AppendMessage(nil, &wire.Subscribe{Sub: 1, Track: camera, Epoch: epoch}), 2), "protocol"},
		{"another's name", hello("x"), nil, "protocol"},
		{"a stripe too many", wire.Hello{Versions: []uint64{1}, Node: "r", Stripe: 1, Stripes: 1}, nil, "protocol"},
		{"no common version", wire.Hello{Versions: []uint64{99}, Node: "r", Stripes: 1}, nil, "version"},
		{"silence", hello("r"), nil, "silent"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, near, 0, func(t *testing.T, w *world) {
				home := w.node("h", "")
				conn, stream, _ := greetAs(t, w.rogue("r", deaf), test.hello)
				if _, err := stream.Write(test.say); err != nil {
					t.Fatal(err)
				}
				time.Sleep(6 * time.Second)
				if conn.Context().Err() == nil {
					t.Error("the connection goes on")
				}
				if home.metric("lyceum_link_closed_total", test.reason) != 1 {
					t.Errorf("the reason %q was not counted", test.reason)
				}
				if n := len(home.links.Status()); n != 0 {
					t.Errorf("%d links are left", n)
				}
			})
		})
	}
}

func TestUnknownMessagesAndDatagramsAreSkipped(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		w.node("h", "")
		conn, stream, r := greetAs(t, w.rogue("r", deaf), hello("r"))
		go heartbeats(conn)
		future := append([]byte{0x80, 0x08, 3}, 1, 2, 3)
		future = append(future, wire.AppendMessage(nil, &wire.Subscribe{Sub: 1, Track: camera, Epoch: epoch})...)
		if _, err := stream.Write(future); err != nil {
			t.Fatal(err)
		}
		_ = conn.SendDatagram([]byte{77, 1, 2, 3})
		for _, want := range []string{"*wire.Welcome", "*wire.Accepted"} {
			m, err := r.Next()
			if got := fmt.Sprintf("%T", m); err != nil || got != want {
				t.Fatalf("got %s, %v; want %s", got, err, want)
			}
		}
	})
}

func TestSubscriptionsAreBounded(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		home := w.node("h", "")
		conn, stream, r := greetAs(t, w.rogue("r", deaf), hello("r"))
		go heartbeats(conn)
		go func() {
			for {
				if _, err := r.Next(); err != nil {
					return
				}
			}
		}()
		var b []byte
		for i := range maxSubscriptions + 100 {
			b = wire.AppendMessage(b, &wire.Subscribe{
				Sub: uint64(i + 1), Track: media.TrackID{Room: room, Name: fmt.Sprint("t", i)}, Epoch: epoch,
			})
		}
		if _, err := stream.Write(b); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if n := home.metric("lyceum_link_refused_total", "overloaded"); n != 100 {
			t.Errorf("%v were refused", n)
		}
	})
}

// greedy asks for tracks one after the other until it is cut off, and returns for how many it asked.
func greedy(t *testing.T, e *Endpoint, most int, leave bool) (asked int, conn *quic.Conn) {
	t.Helper()
	conn, stream, r := greetAs(t, e, hello("r"))
	go heartbeats(conn)
	go func() {
		for {
			if _, err := r.Next(); err != nil {
				return
			}
		}
	}()
	var b []byte
	for ; asked < most; asked++ {
		sub := uint64(asked + 1)
		b = wire.AppendMessage(b[:0], &wire.Subscribe{Sub: sub, Track: media.TrackID{Room: room, Name: fmt.Sprint("t", asked)}, Epoch: epoch})
		if leave {
			b = wire.AppendMessage(b, &wire.Unsubscribe{Sub: sub})
		}
		if _, err := stream.Write(b); err != nil {
			break
		}
		if asked%100 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	return asked, conn
}

func TestAMillionSubscriptionsCostBoundedMemory(t *testing.T) {
	for _, leave := range []bool{false, true} {
		t.Run(fmt.Sprintf("leave=%v", leave), func(t *testing.T) {
			inWorld(t, near, 0, func(t *testing.T, w *world) {
				home, edge := w.node("h", ""), w.node("e", "h")
				p := home.publish(camera, 1)
				v := edge.watch(camera, 0)
				time.Sleep(time.Second)
				from := p.number[0]
				done := make(chan struct{})
				go func() {
					p.play(10*time.Second, 4)
					close(done)
				}()
				before := heap()
				var peak uint64
				var tracks int
				go func() {
					for range 50 {
						tracks = max(tracks, len(home.hub.Status()))
						peak = max(peak, heap())
						time.Sleep(20 * time.Millisecond)
					}
				}()
				e := w.rogue("r", deaf)
				asked, conn := greedy(t, e, 1_000_000, leave)
				most := maxAsked
				if leave {
					most = maxGranted
				}
				time.Sleep(time.Second)
				t.Logf("cut off after %d subscriptions, %d tracks, %.1f MB", asked, tracks, float64(peak-before)/1e6)
				if conn.Context().Err() == nil || home.metric("lyceum_link_closed_total", "excess") != 1 {
					t.Error("it was not cut off for it")
				}
				// What it wrote before it heard of it was on the way.
				if asked > most+10_000 {
					t.Errorf("it was cut off after %d subscriptions", asked)
				}
				if tracks > maxGranted+1 {
					t.Errorf("%d tracks were held", tracks)
				}
				if peak > before+150e6 {
					t.Errorf("the memory grew from %d to %d MB", before/1e6, peak/1e6)
				}
				if _, conn := greedy(t, e, 1000, leave); conn.Context().Err() == nil {
					time.Sleep(time.Second)
					if conn.Context().Err() == nil || len(home.hub.Status()) > 1 {
						t.Error("it was let in again")
					}
				}
				<-done
				time.Sleep(20 * time.Second) // the tracks linger no more
				if n := len(home.hub.Status()); n != 1 {
					t.Errorf("%d tracks are left", n)
				}
				if n := v.missing(t, 0, from, p.number[0]); n != 0 {
					t.Errorf("its sibling misses %d packets", n)
				}
			})
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestChildThatDoesNotReadIsCutOff(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		home := w.node("h", "")
		p := home.publish(camera, 1)
		edge := w.node("e", "h")
		v := edge.watch(camera, 0)
		conn, stream, _ := greetAs(t, w.rogue("r", deaf), hello("r"))
		go heartbeats(conn)
		_, err := stream.Write(wire.AppendMessage(nil, &wire.Subscribe{Sub: 1, Track: camera, Epoch: epoch, Layers: 1}))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		from := p.number[0]
		p.play(10*time.Second, 40)
		time.Sleep(time.Second)
		if conn.Context().Err() == nil || home.metric("lyceum_link_closed_total", "not reading") != 1 {
			t.Error("it was not cut off")
		}
		if n := v.missing(t, 0, from, p.number[0]); n != 0 {
			t.Errorf("its sibling misses %d packets", n)
		}
	})
}

func TestNewerLinkReplacesTheOlder(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		home := w.node("h", "")
		e := w.rogue("r", deaf)
		old, _, _ := greetAs(t, e, hello("r"))
		time.Sleep(100 * time.Millisecond)
		h := hello("r")
		h.Link = 2
		newer, _, _ := greetAs(t, e, h)
		time.Sleep(100 * time.Millisecond)
		if old.Context().Err() == nil || newer.Context().Err() != nil {
			t.Error("the newer link did not replace the older")
		}
		late, _, _ := greetAs(t, e, hello("r"))
		time.Sleep(100 * time.Millisecond)
		if late.Context().Err() == nil || newer.Context().Err() != nil {
			t.Error("a late stripe of the older link was taken")
		}
		if n := home.metric("lyceum_link_links", "down"); n != 1 {
			t.Errorf("%v links", n)
		}
	})
}

// hostileParent welcomes its child, takes its subscription and then does as it likes.
func hostileParent(then func(conn *quic.Conn, stream *quic.Stream)) func(context.Context, *quic.Conn, string) {
	return func(ctx context.Context, conn *quic.Conn, _ string) {
		defer func() { <-conn.Context().Done() }()
		stream, err := conn.AcceptStream(ctx)
		if err != nil {
			return
		}
		m, err := wire.NewReader(stream).Next()
		if err != nil {
			return
		}
		go heartbeats(conn)
		_, _ = stream.Write(wire.AppendMessage(nil, &wire.Welcome{Version: wire.Version, Node: "p", Boot: 1}))
		if m.(*wire.Hello).Stripe == 0 {
			then(conn, stream)
		}
	}
}

func sendStream(conn *quic.Conn, b []byte) {
	s, err := conn.OpenUniStreamSync(conn.Context())
	if err != nil {
		return
	}
	_, _ = s.Write(b)
	_ = s.Close()
}

func TestHostileParentIsLeft(t *testing.T) {
	tests := map[string]func(*quic.Conn, *quic.Stream){
		"garbage in a chunk": func(c *quic.Conn, _ *quic.Stream) { sendStream(c, []byte{wire.KindChunk, 255, 1}) },
		"an endless chunk": func(c *quic.Conn, _ *quic.Stream) {
			sendStream(c, append([]byte{wire.KindChunk}, make([]byte, 1<<20)...))
		},
		"garbage in audio":    func(c *quic.Conn, _ *quic.Stream) { _ = c.SendDatagram([]byte{wire.KindChunk}) },
		"a broken heartbeat":  func(c *quic.Conn, _ *quic.Stream) { _ = c.SendDatagram([]byte{wire.KindHeartbeat}) },
		"a child's message":   func(_ *quic.Conn, s *quic.Stream) { _, _ = s.Write(wire.AppendMessage(nil, &wire.Unsubscribe{})) },
		"garbage in messages": func(_ *quic.Conn, s *quic.Stream) { _, _ = s.Write([]byte{10, 1, 0xff}) },
	}
	for name, then := range tests {
		t.Run(name, func(t *testing.T) {
			inWorld(t, near, 0, func(t *testing.T, w *world) {
				w.rogue("p", hostileParent(then))
				edge := w.node("e", "p")
				edge.watch(camera, 0)
				time.Sleep(2 * time.Second)
				if edge.metric("lyceum_link_closed_total", "protocol") == 0 {
					t.Error("the link was not closed for the protocol")
				}
			})
		})
	}
}

func TestStreamsThatNeverEndCostBoundedMemory(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		w.rogue("p", hostileParent(func(c *quic.Conn, _ *quic.Stream) {
			for c.Context().Err() == nil {
				s, err := c.OpenUniStreamSync(c.Context())
				if err != nil {
					return
				}
				_, _ = s.Write([]byte{wire.KindChunk})
			}
		}))
		edge := w.node("e", "p")
		edge.watch(camera, 0)
		time.Sleep(3 * time.Second)
		ups, _ := edge.links.all()
		if len(ups) != 1 {
			t.Fatalf("%d links", len(ups))
		}
		if n := len(ups[0].slots); n != openChunks {
			t.Errorf("%d chunks are open", n)
		}
		time.Sleep(chunkTimeout)
		if edge.metric("lyceum_link_closed_total", "excess") != 1 {
			t.Error("the parent was not left for it")
		}
	})
}

func TestStreamsCarryAnotherProtocol(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		open := func(id string) (*Endpoint, *Streams) {
			w.addrs[id] = host(id) + ":4433"
			e, err := NewEndpoint(EndpointConfig{
				Conn: w.socket(id, 4433), Identity: identity(t, w.authority, id), Resolve: w.resolve,
			})
			if err != nil {
				t.Fatal(err)
			}
			return e, e.Streams("raft/1")
		}
		a, as := open("a")
		b, bs := open("b")
		w.run(a)
		w.run(b)
		go func() {
			for {
				c, err := bs.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					_, _ = io.Copy(c, c)
				}()
			}
		}()
		for range 3 {
			c, err := as.Dial(t.Context(), "b")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 5)
			if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
				t.Fatalf("%q, %v", got, err)
			}
			c.Close()
		}
		if n := a.count(); n != 1 {
			t.Errorf("%v connections for three streams", n)
		}
		if _, err := as.Dial(t.Context(), "nobody"); err == nil {
			t.Error("dialled a node that nobody knows")
		}
		w.net.sever(host("b"), true)
		began := time.Now()
		as.peer("b").conn.CloseWithError(codeGoodbye, "")
		if _, err := as.Dial(t.Context(), "b"); err == nil || time.Since(began) > 2*time.Second {
			t.Errorf("a node that is gone was dialled for %v: %v", time.Since(began), err)
		}
		bs.Close()
		as.Close()
		if _, err := as.Accept(); err == nil {
			t.Error("accepted after Close")
		}
	})
}
