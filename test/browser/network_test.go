//go:build browser

package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"lyceum/edge"
	"lyceum/test/up"
)

// sight is what getStats says of the picture and the sound.
type sight struct {
	Height    int     `json:"height"`
	Decoded   int     `json:"decoded"`
	Dropped   int     `json:"dropped"`
	Freezes   int     `json:"freezes"`
	Frozen    float64 `json:"frozen"` // seconds
	Lost      int     `json:"lost"`   // of the sound's packets
	Got       int     `json:"got"`
	Concealed int     `json:"concealed"` // samples
	Samples   int     `json:"samples"`
}

// run runs the body of an async function in the page, which returns a string.
func (b *Tab) run(script string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	text, err := b.evaluate(ctx, "(async () => {"+script+"})()")
	if err != nil {
		b.t.Fatalf("%s: %v", b.name, err)
	}
	return text
}

func (b *Tab) sight() (s sight) {
	b.t.Helper()
	text := b.run(`
		const out = {}
		for (const r of (await window.watching.getStats()).values()) {
			if (r.type !== 'inbound-rtp') continue
			if (r.kind === 'video') Object.assign(out, { height: r.frameHeight || 0, decoded: r.framesDecoded || 0, dropped: r.framesDropped || 0,
				freezes: r.freezeCount || 0, frozen: r.totalFreezesDuration || 0 })
			else Object.assign(out, { lost: r.packetsLost || 0, got: r.packetsReceived || 0, concealed: r.concealedSamples || 0, samples: r.totalSamplesReceived || 0 })
		}
		return JSON.stringify(out)`)
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		b.t.Fatalf("read %q: %v", text, err)
	}
	return s
}

// watch opens a WHEP session through a bottleneck.
func watch(t *testing.T, tab *Tab, m *up.Mesh, rate int64) *Bottleneck {
	t.Helper()
	offer := tab.run(`
		const peer = window.watching = new RTCPeerConnection({ bundlePolicy: 'max-bundle' })
		const stream = new MediaStream()
		peer.addEventListener('track', (e) => stream.addTrack(e.track))
		peer.addTransceiver('video', { direction: 'recvonly' })
		peer.addTransceiver('audio', { direction: 'recvonly' })
		const video = document.createElement('video')
		video.autoplay = video.muted = video.playsInline = true
		video.srcObject = stream
		document.body.append(video)
		const offer = await peer.createOffer()
		offer.sdp = offer.sdp.replace(/(a=rtpmap:(\d+) opus\/48000\/2\r\n)/, '$1a=rtcp-fb:$2 nack\r\n')
		await peer.setLocalDescription(offer)
		return offer.sdp`)
	rq, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.Student.WHEP, strings.NewReader(offer))
	if err != nil {
		t.Fatal(err)
	}
	rq.Header.Set("Content-Type", "application/sdp")
	rq.Header.Set("Authorization", "Bearer "+m.Student.Token)
	rsp, err := http.DefaultClient.Do(rq)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(rsp.Body)
	_ = rsp.Body.Close()
	if err != nil || rsp.StatusCode != http.StatusCreated {
		t.Fatalf("the node answers %s %s (%v)", rsp.Status, body, err)
	}
	b := newBottleneck(t, candidateOf(t, string(body)), rate, 250*time.Millisecond)
	answer, err := json.Marshal(b.through(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	tab.run(fmt.Sprintf(`await window.watching.setRemoteDescription({ type: 'answer', sdp: %s }); return ''`, answer))
	return b
}

// served is what the edge thinks of its only student's network.
func served(t *testing.T, m *up.Mesh) string {
	t.Helper()
	for _, node := range m.Nodes {
		rq, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+strings.TrimPrefix(node.Admin, "http://")+"/status", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		rsp, err := http.DefaultClient.Do(rq)
		if err != nil {
			t.Fatal(err)
		}
		var st struct{ Students []edge.RoomStatus }
		err = json.NewDecoder(rsp.Body).Decode(&st)
		_ = rsp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, room := range st.Students {
			for _, s := range room.Subscribers {
				return fmt.Sprintf("target %d, %d packets of %d bytes, %d pleas, limit %.0f and estimate %.0f kbit/s, %d probes, %d resent, loss %.2f, off %t",
					s.Video.Target, s.Video.Packets, s.Video.Bytes, s.Video.Pleas, s.Video.Limit/1000, s.Video.Estimate/1000, s.Video.Probes, s.Video.Resent, s.Video.Lost, s.Video.Off)
			}
		}
	}
	return "no student"
}

func TestChromiumOnANetworkThatNarrowsAndWidens(t *testing.T) {
	laboratory(t)
	const wide, narrow = 2_000_000, 300_000
	m := up.Start(t, "--demo")
	tab := Open(t, "student", m.Nodes[1].URL+"/", desktop)
	line := watch(t, tab, m, wide)

	// look logs what is seen once a second until it has a height, and returns how long that took.
	began := time.Now()
	look := func(what string, height int, most time.Duration) (took time.Duration) {
		from := time.Now()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			s := tab.sight()
			t.Logf("%5.1f s %s: %+v, %d datagrams lost; the edge: %s", time.Since(began).Seconds(), what, s, line.lost.Load(), served(t, m))
			if took = time.Since(from); height != 0 && s.Height == height {
				return took
			}
			if took >= most {
				if height != 0 {
					t.Errorf("%s: no picture of height %d within %s, but %d", what, height, most, s.Height)
				}
				return took
			}
			<-tick.C
		}
	}
	look("at first", 720, 20*time.Second)
	look("wide", 0, 8*time.Second)
	before := tab.sight()

	line.rate.Store(narrow)
	down := look("narrowed", 180, 8*time.Second)
	look("narrow", 0, 18*time.Second)
	if s := tab.sight(); s.Height != 180 {
		t.Errorf("the height is %d on the narrow line, want 180", s.Height)
	}
	line.rate.Store(wide)
	upwards := look("widened", 720, 20*time.Second)
	look("wide again", 0, 8*time.Second)
	after := tab.sight()

	t.Logf("down in %s, up in %s; %d freezes of %.1f s together, %d frames dropped, %d of %d packets of sound lost, %d samples concealed of %d",
		down, upwards, after.Freezes-before.Freezes, after.Frozen-before.Frozen, after.Dropped-before.Dropped, after.Lost-before.Lost,
		after.Got-before.Got, after.Concealed-before.Concealed, after.Samples-before.Samples)
	// The clip has a keyframe every two seconds and makes none on request: a layer is changed so much later.
	if down > 6*time.Second || upwards > 13*time.Second {
		t.Errorf("down in %s and up in %s", down, upwards)
	}
	if after.Frozen-before.Frozen > 5 {
		t.Errorf("the picture was frozen for %.1f s", after.Frozen-before.Frozen)
	}
	if got := after.Got - before.Got; float64(after.Lost-before.Lost) > 0.01*float64(got) {
		t.Errorf("%d of %d packets of sound are lost", after.Lost-before.Lost, got)
	}
}
