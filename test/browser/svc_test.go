//go:build browser

package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lyceum/test/up"
)

// thief stands between a browser and a node and takes some of the media on its way to the browser.
type thief struct {
	browser, node *net.UDPConn
	share         atomic.Int64 // how many of a thousand
	peer          atomic.Pointer[net.UDPAddr]
}

// newThief makes a thief before the address for UDP in an SDP answer, and leaves its own there.
func newThief(t *testing.T, answer string) (*thief, string) {
	t.Helper()
	var out []string
	th := &thief{}
	for _, line := range strings.Split(answer, "\r\n") {
		f := strings.Fields(line)
		if !strings.HasPrefix(line, "a=candidate:") {
			out = append(out, line)
			continue
		}
		if th.node != nil || len(f) < 8 || !strings.EqualFold(f[2], "udp") || f[4] != "127.0.0.1" {
			continue
		}
		to, err := net.ResolveUDPAddr("udp4", net.JoinHostPort(f[4], f[5]))
		if err != nil {
			t.Fatal(err)
		}
		if th.node, err = net.DialUDP("udp4", nil, to); err != nil {
			t.Fatal(err)
		}
		if th.browser, err = net.ListenUDP("udp4", &net.UDPAddr{IP: to.IP}); err != nil {
			t.Fatal(err)
		}
		f[5] = fmt.Sprint(th.browser.LocalAddr().(*net.UDPAddr).Port)
		out = append(out, strings.Join(f, " "))
	}
	if th.node == nil {
		t.Fatalf("the answer has no address of this machine:\n%s", answer)
	}
	var running sync.WaitGroup
	running.Go(func() { th.pass(th.browser, true) })
	running.Go(func() { th.pass(th.node, false) })
	t.Cleanup(func() {
		_ = th.browser.Close() // ends both
		_ = th.node.Close()
		running.Wait()
	})
	return th, strings.Join(out, "\r\n")
}

func (th *thief) pass(from *net.UDPConn, up bool) {
	buf := make([]byte, 2048)
	for {
		n, addr, err := from.ReadFromUDP(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			continue
		}
		if up {
			th.peer.Store(addr)
			_, _ = th.node.Write(buf[:n]) // a datagram may be lost
			continue
		}
		media := n > 12 && buf[0]>>6 == 2 && (buf[1] < 192 || buf[1] > 223) // RFC 5761, section 4
		if peer := th.peer.Load(); peer != nil && (!media || rand.Int64N(1000) >= th.share.Load()) {
			_, _ = th.browser.WriteToUDP(buf[:n], peer)
		}
	}
}

// ask runs a script that returns a string.
func (b *Tab) ask(script string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	text, err := b.evaluate(ctx, "(async () => {"+script+"})()")
	if err != nil {
		b.t.Fatalf("%s: %v", b.name, err)
	}
	return text
}

// negotiate makes an offer in a page by a script, posts it, lets change look at the answer and gives it to the page.
func (b *Tab) negotiate(url, token, script string, change func(string) string) {
	b.t.Helper()
	offer := b.ask(script)
	rq, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, url, strings.NewReader(offer))
	if err != nil {
		b.t.Fatal(err)
	}
	rq.Header.Set("Content-Type", "application/sdp")
	rq.Header.Set("Authorization", "Bearer "+token)
	rsp, err := http.DefaultClient.Do(rq)
	if err != nil {
		b.t.Fatal(err)
	}
	body, err := io.ReadAll(rsp.Body)
	_ = rsp.Body.Close()
	if err != nil || rsp.StatusCode != http.StatusCreated {
		b.t.Fatalf("the node answers %s %s (%v)", rsp.Status, body, err)
	}
	answer, err := json.Marshal(change(string(body)))
	if err != nil {
		b.t.Fatal(err)
	}
	b.ask(fmt.Sprintf(`await window.peer.setRemoteDescription({ type: 'answer', sdp: %s }); return ''`, answer))
}

// decoded is what getStats says of the picture.
type decoded struct {
	Codec                                 string
	Width, Frames, Freezes, Dropped, PLIs int
}

func (b *Tab) decoded() (d decoded) {
	b.t.Helper()
	text := b.ask(`
		const out = {}, all = await window.peer.getStats()
		for (const r of all.values()) if (r.type === 'inbound-rtp' && r.kind === 'video') Object.assign(out, {
			Codec: (all.get(r.codecId) || {}).mimeType, Width: r.frameWidth, Frames: r.framesDecoded, Freezes: r.freezeCount,
			Dropped: r.framesDropped, PLIs: r.pliCount })
		return JSON.stringify(out)`)
	if err := json.NewDecoder(bytes.NewBufferString(text)).Decode(&d); err != nil {
		b.t.Fatalf("read %q: %v", text, err)
	}
	return d
}

func (b *Tab) untilDecoded(what string, ok func(decoded) bool) decoded {
	b.t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(40 * time.Second)
	for {
		d := b.decoded()
		if ok(d) {
			return d
		}
		select {
		case <-deadline:
			b.t.Fatalf("%s never showed %s; it shows %+v", b.name, what, d)
		case <-tick.C:
		}
	}
}

// TestChromiumDecodesTheLevelsThatItIsSent lets a student lose packets until it gets a lower level, watches that one, and
// waits for the best one to come back.
func TestChromiumDecodesTheLevelsThatItIsSent(t *testing.T) {
	for _, c := range []struct {
		mime, mode    string
		width, height int
	}{{"video/VP9", "L3T3_KEY", 960, 540}, {"video/AV1", "L2T2", 640, 360}} {
		t.Run(strings.TrimPrefix(c.mime, "video/"), func(t *testing.T) {
			m := up.Start(t)
			teacher := Open(t, "teacher", m.Nodes[0].URL+"/", desktop)
			teacher.negotiate(m.Teacher.WHIP, m.Teacher.Token, fmt.Sprintf(`
				const stream = await navigator.mediaDevices.getUserMedia({ video: { width: %d, height: %d, frameRate: 15 } })
				const peer = window.peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' })
				const tr = peer.addTransceiver(stream.getVideoTracks()[0], { direction: 'sendonly', sendEncodings: [{ scalabilityMode: %q, maxBitrate: 1000000 }] })
				tr.setCodecPreferences(RTCRtpSender.getCapabilities('video').codecs.filter((c) => [%q, 'video/rtx'].includes(c.mimeType)))
				await peer.setLocalDescription()
				await new Promise((done) => { peer.onicegatheringstatechange = () => peer.iceGatheringState === 'complete' && done() })
				return peer.localDescription.sdp`, c.width, c.height, c.mode, c.mime), func(s string) string { return s })

			student := Open(t, "student", m.Nodes[0].URL+"/", desktop)
			var th *thief
			student.negotiate(m.Student.WHEP, m.Student.Token, `
				const peer = window.peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' })
				const video = document.createElement('video')
				video.autoplay = video.muted = video.playsInline = true
				peer.ontrack = (e) => { video.srcObject = e.streams[0] }
				document.body.append(video)
				const tr = peer.addTransceiver('video', { direction: 'recvonly' })
				const extensions = tr.getHeaderExtensionsToNegotiate()
				for (const x of extensions) if (x.uri.includes('dependency-descriptor')) x.direction = 'sendrecv' // not offered by itself
				tr.setHeaderExtensionsToNegotiate(extensions)
				await peer.setLocalDescription()
				return peer.localDescription.sdp`, func(s string) (through string) { th, through = newThief(t, s); return through })

			d := student.untilDecoded("the best level", func(d decoded) bool { return d.Width == c.width && d.Frames > 30 })
			if d.Codec != c.mime {
				t.Fatalf("it is %s", d.Codec)
			}
			th.share.Store(250)
			lower := student.untilDecoded("a lower level", func(d decoded) bool { return d.Width < c.width })
			th.share.Store(0)
			time.Sleep(2 * time.Second) // what was lost is repaired or passed over
			from := student.decoded()
			time.Sleep(5 * time.Second)
			to := student.decoded()
			t.Logf("%s %s: best %+v, lower %+v, five seconds of it %+v to %+v", c.mime, c.mode, d, lower, from, to)
			if to.Width >= c.width || to.Frames-from.Frames < 50 || to.Freezes != from.Freezes || to.Dropped-from.Dropped > 5 || to.PLIs != from.PLIs {
				t.Errorf("in five seconds of the lower level it went from %+v to %+v", from, to)
			}
			back := student.untilDecoded("the best level again", func(d decoded) bool { return d.Width == c.width })
			if back.Freezes != to.Freezes || back.PLIs != to.PLIs {
				t.Errorf("on the way up it went from %+v to %+v", to, back)
			}
		})
	}
}
