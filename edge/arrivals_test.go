package edge

import (
	"strings"
	"testing"
	"time"

	"github.com/pion/sdp/v3"
)

// TestOnlyWhoTellsNoLimitIsAskedForArrivals looks at what is answered: limits cost the node nothing for a packet.
func TestOnlyWhoTellsNoLimitIsAskedForArrivals(t *testing.T) {
	n := newNode(t, nil)
	var plain []string
	for line := range strings.Lines(newPlayer(t).offer(nil)) {
		if !strings.Contains(line, "goog-remb") && !strings.Contains(line, "transport-cc") && !strings.Contains(line, sdp.TransportCCURI) {
			plain = append(plain, line)
		}
	}
	const limit, arrivals, numbers = "a=rtcp-fb:96 goog-remb\r\n", "a=rtcp-fb:96 transport-cc\r\n", "a=extmap:14 " + sdp.TransportCCURI + "\r\n"
	for name, c := range map[string]struct {
		extra           string
		limit, arrivals bool
	}{
		"neither":      {"", false, false},
		"limits":       {limit, true, false},
		"arrivals":     {arrivals + numbers, false, true},
		"both":         {limit + arrivals + numbers, true, false},
		"no numbers":   {arrivals, false, false},
		"numbers only": {numbers, false, false},
	} {
		// The picture is the last section.
		sub, answer, err := n.edge.Subscribe(t.Context(), SubscribeRequest{Room: "algebra", Offer: strings.Join(plain, "") + c.extra})
		if err != nil {
			t.Fatal(err)
		}
		sub.Close(ErrLeft)
		if l := sub.lead(); strings.Contains(answer, "goog-remb") != c.limit || (l.arrivals != nil) != c.arrivals || strings.Contains(answer, "transport-cc") && !strings.Contains(c.extra, arrivals) {
			t.Errorf("%s: arrivals are watched: %t; answered:\n%s", name, l.arrivals != nil, answer)
		}
	}
}

// TestArrivalsAreHeardOnTheShortWay lets a player of another make report arrivals to an edge that seals its media itself.
func TestArrivalsAreHeardOnTheShortWay(t *testing.T) {
	n := newNode(t, nil)
	n.teach(1)
	p := newViewer(t, loopback(), quirks{arrivals: true})
	s := &student{t: t, pc: p.pc}
	sub, answer, err := n.edge.Subscribe(t.Context(), SubscribeRequest{Room: "algebra", Offer: s.offer(nil)})
	if err != nil {
		t.Fatal(err)
	}
	s.answer(answer)
	for end := time.After(10 * time.Second); sub.Stats().Video.Limit == 0; {
		select {
		case <-end:
			t.Fatalf("no limit: %+v", sub.Stats().Video)
		case <-time.After(20 * time.Millisecond):
		}
	}
	if sub.listening.Load() {
		t.Error("the connection opens the feedback")
	}
}
