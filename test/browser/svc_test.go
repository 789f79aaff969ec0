//go:build browser

package browser

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"lyceum/test/up"
)

// prefer chooses the best layer, or level, that a session is to get; "" is any.
func prefer(t *testing.T, session, rid string) {
	t.Helper()
	body := strings.NewReader(fmt.Sprintf(`{"rid":%q}`, rid))
	rq, err := http.NewRequestWithContext(t.Context(), http.MethodPost, session+"/layer", body)
	if err != nil {
		t.Fatal(err)
	}
	rq.Header.Set("Content-Type", "application/json")
	rsp, err := http.DefaultClient.Do(rq)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(rsp.Body) // for the message alone
	_ = rsp.Body.Close()
	if rsp.StatusCode != http.StatusOK {
		t.Fatalf("layer %q is answered %s %s", rid, rsp.Status, text)
	}
}

// negotiate makes an offer in a page by a script, posts it, and gives the answer to the page. It returns the session's URL.
func (b *Tab) negotiate(url, token, script string) (session string) {
	b.t.Helper()
	offer := b.run(script)
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
	answer, err := json.Marshal(string(body))
	if err != nil {
		b.t.Fatal(err)
	}
	b.run(fmt.Sprintf(`await window.peer.setRemoteDescription({ type: 'answer', sdp: %s }); return ''`, answer))
	return rsp.Header.Get("Location")
}

// decoded is what getStats says of the picture.
type decoded struct {
	Codec                                 string
	Width, Frames, Freezes, Dropped, PLIs int
	Frozen                                float64 // seconds
}

func (b *Tab) decoded() (d decoded) {
	b.t.Helper()
	text := b.run(`
		const out = {}, all = await window.peer.getStats()
		for (const r of all.values()) if (r.type === 'inbound-rtp' && r.kind === 'video') Object.assign(out, {
			Codec: (all.get(r.codecId) || {}).mimeType, Width: r.frameWidth, Frames: r.framesDecoded, Freezes: r.freezeCount,
			Frozen: r.totalFreezesDuration, Dropped: r.framesDropped, PLIs: r.pliCount })
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

// TestChromiumDecodesTheLevelsThatItIsSent lets a student choose a lower level, watches that one, and lets it choose the best
// again.
func TestChromiumDecodesTheLevelsThatItIsSent(t *testing.T) {
	for _, c := range []struct {
		mime, mode    string
		level         string // with half the width
		width, height int
	}{{"video/VP9", "L3T3_KEY", "1", 960, 540}, {"video/AV1", "L2T2", "0", 640, 360}} {
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
				return peer.localDescription.sdp`, c.width, c.height, c.mode, c.mime))

			student := Open(t, "student", m.Nodes[0].URL+"/", desktop)
			session := student.negotiate(m.Student.WHEP, m.Student.Token, `
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
				return peer.localDescription.sdp`)

			d := student.untilDecoded("the best level", func(d decoded) bool { return d.Width == c.width && d.Frames > 30 })
			if d.Codec != c.mime {
				t.Fatalf("it is %s", d.Codec)
			}
			prefer(t, session, c.level)
			lower := student.untilDecoded("a lower level", func(d decoded) bool { return d.Width == c.width/2 })
			from := lower
			to := student.untilDecoded("five seconds of it", func(d decoded) bool { return d.Frames >= from.Frames+70 })
			t.Logf("%s %s: best %+v, lower %+v, five seconds of it %+v to %+v", c.mime, c.mode, d, lower, from, to)
			if to.Width != c.width/2 || to.Freezes != from.Freezes || to.Dropped-from.Dropped > 5 || to.PLIs != from.PLIs {
				t.Errorf("in five seconds of the lower level it went from %+v to %+v", from, to)
			}
			prefer(t, session, "")
			back := student.untilDecoded("the best level again", func(d decoded) bool { return d.Width == c.width })
			t.Logf("best again %+v", back)
			if back.Frozen-to.Frozen > 1 || back.PLIs != to.PLIs { // the keyframe may be waited for
				t.Errorf("on the way up it went from %+v to %+v", to, back)
			}
		})
	}
}
