package client

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"lyceum/mesh/media"
)

// unhex reads the parameter sets that follow, of pictures of 1920x1080, 1280x720 and 640x360.
func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	sps1080 = "67640028acd940780227e5c05a808080a0000003002000000781e30632c0"
	sps720  = "6764001facd9405005bb016a02020280000003008000001e478c18cb"
	sps360  = "6742c01ed900a02ff970110000030001000003003c0f162e48"
)

// section writes a media section as programs without a browser do.
func section(kind, mid, pt, setup string, more ...string) string {
	return crlf(append([]string{
		"m=" + kind + " 9 UDP/TLS/RTP/SAVPF " + pt, "c=IN IP4 0.0.0.0", "a=mid:" + mid, "a=setup:" + setup, "a=ice-ufrag:EsAw",
		"a=ice-pwd:asd88fgpdd777uzjYhagZg", "a=rtcp-mux", "a=sendonly", "a=msid:live " + kind,
	}, more...)...)
}

func crlf(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n" }

const fingerprint = "a=fingerprint:sha-256 DA:39:A3:EE:5E:6B:4B:0D:32:55:BF:EF:95:60:18:90:AF:D8:07:09:DA:39:A3:EE:5E:6B:4B:0D:32:55:BF:EF"

// obs is the shape of an offer by OBS: no candidates, neither repair formats nor transport feedback, two groups.
func obs(layers ...string) string {
	picture := []string{
		"a=rtpmap:96 H264/90000", "a=rtcp-fb:96 nack", "a=rtcp-fb:96 nack pli", "a=rtcp-fb:96 goog-remb",
		"a=fmtp:96 profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1",
	}
	if len(layers) == 0 {
		picture = append(picture, "a=ssrc:22 cname:obs", "a=ssrc:22 msid:live video")
	} else {
		picture = append(picture, "a=extmap:1 "+sdp.SDESMidURI, "a=extmap:2 "+sdp.SDESRTPStreamIDURI)
		for _, l := range layers {
			picture = append(picture, "a=rid:"+l+" send")
		}
		picture = append(picture, "a=simulcast:send "+strings.Join(layers, ";"))
	}
	return crlf("v=0", "o=rtc 3767197920 0 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1", "a=group:LS 0 1",
		"a=msid-semantic:WMS *", "a=ice-options:ice2,trickle", fingerprint) +
		section("audio", "0", "111", "actpass", "a=ssrc:11 cname:obs", "a=ssrc:11 msid:live audio", "a=rtpmap:111 opus/48000/2",
			"a=fmtp:111 minptime=10;maxaveragebitrate=160000;stereo=1;sprop-stereo=1;useinbandfec=1") +
		section("video", "1", "96", "actpass", picture...)
}

// ffmpeg is the shape of an offer by FFmpeg: passive, with one group whatever it sends.
func ffmpeg(audio, video bool) string {
	s := crlf("v=0", "o=FFmpeg 4489045141692799359 2 IN IP4 127.0.0.1", "s=FFmpegPublishSession", "t=0 0", "a=group:BUNDLE 0 1",
		"a=extmap-allow-mixed", "a=msid-semantic: WMS")
	if audio {
		s += section("audio", "0", "111", "passive", fingerprint, "a=rtpmap:111 opus/48000/2", "a=ssrc:11 cname:ffmpeg", "a=ssrc:11 msid:live audio")
	}
	if video {
		s += section("video", "1", "106", "passive", fingerprint, "a=rtcp-rsize", "a=rtpmap:106 H264/90000",
			"a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640028", "a=ssrc:22 cname:ffmpeg", "a=ssrc:22 msid:live video")
	}
	return s
}

// conform holds an answer to what RFC 9725 and the WHEP draft ask of it. The rows are those of the project's dossier.
func conform(t *testing.T, offer, answer, direction string) {
	t.Helper()
	var o, a sdp.SessionDescription
	if err := o.UnmarshalString(offer); err != nil {
		t.Fatal(err)
	}
	if err := a.UnmarshalString(answer); err != nil {
		t.Fatalf("%v\n%s", err, answer)
	}
	if len(a.MediaDescriptions) != len(o.MediaDescriptions) {
		t.Fatalf("C04: %d sections answer %d", len(a.MediaDescriptions), len(o.MediaDescriptions))
	}
	if len(answer) > 8192 {
		t.Errorf("the answer has %d bytes; FFmpeg reads 8192", len(answer))
	}
	group, _ := a.Attribute("group")
	streams := map[string]bool{}
	for i, m := range a.MediaDescriptions {
		of := o.MediaDescriptions[i]
		mid, _ := m.Attribute("mid")
		asked, _ := of.Attribute("mid")
		if mid != asked || m.MediaName.Media != of.MediaName.Media {
			t.Errorf("C04: section %d is %s %s, offered is %s %s", i, m.MediaName.Media, mid, of.MediaName.Media, asked)
		}
		if !slices.Contains(strings.Fields(group), mid) {
			t.Errorf("C36: the group %q lacks %s", group, mid)
		}
		if m.MediaName.Port.Value == 0 {
			t.Errorf("C41: section %s is refused", mid)
		}
		setup, _ := m.Attribute("setup")
		role, _ := of.Attribute("setup")
		if !(role == "active" && setup == "passive" || role == "passive" && setup == "active" || role == "actpass" && (setup == "active" || setup == "passive")) {
			t.Errorf("C40: setup %s answers %s", setup, role)
		}
		candidates := 0
		for _, x := range m.Attributes {
			if x.Key == "candidate" {
				candidates++
			}
		}
		if _, end := m.Attribute("end-of-candidates"); i == 0 && (candidates == 0 || !end) {
			t.Errorf("C35: %d candidates, the end told: %v", candidates, end)
		}
		if m.MediaName.Media == "application" {
			continue
		}
		for _, name := range []string{"rtcp-mux", "rtcp-mux-only", direction} {
			if _, ok := m.Attribute(name); !ok {
				t.Errorf("C38, C39, I02, E02: section %s lacks %s", mid, name)
			}
		}
		for _, pt := range m.MediaName.Formats {
			if !slices.Contains(of.MediaName.Formats, pt) {
				t.Errorf("I08: payload type %s was not offered", pt)
			}
		}
		if msid, ok := m.Attribute("msid"); ok {
			stream, _, _ := strings.Cut(msid, " ")
			streams[stream] = true
		} else if direction == "sendonly" {
			t.Errorf("E03: section %s has no msid", mid)
		}
	}
	if direction == "sendonly" && len(streams) != 1 {
		t.Errorf("E03: streams %v", streams)
	}
}

func TestStandardPublishersAreAnsweredWhole(t *testing.T) {
	d := newDoors(t)
	for name, offer := range map[string]string{
		"OBS":                           obs(),
		"OBS with layers":               obs("0", "1", "2"),
		"FFmpeg":                        ffmpeg(true, true),
		"FFmpeg, sound alone":           ffmpeg(true, false),
		"FFmpeg, picture alone":         ffmpeg(false, true),
		"FFmpeg, active":                strings.ReplaceAll(ffmpeg(true, true), "passive", "active"),
		"both directions":               strings.ReplaceAll(obs(), "a=sendonly", "a=sendrecv"),
		"a page that adds data channel": withData(obs()),
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := d.post("/whip/"+strings.Map(letters, strings.ToLower(name)), offer)
			if status != 201 {
				t.Fatalf("%d %s", status, answer)
			}
			conform(t, offer, answer, "recvonly")
			if strings.Contains(offer, "a=simulcast") && !strings.Contains(answer, "a=simulcast:recv 0;1;2\r\n") {
				t.Errorf("I04: the layers are answered with\n%s", answer)
			}
			for _, l := range []string{"0", "1", "2"} {
				if strings.Contains(offer, "a=rid:") && !strings.Contains(answer, "a=rid:"+l+" recv\r\n") {
					t.Errorf("I04: layer %s is not answered", l)
				}
			}
		})
	}
	for name, offer := range map[string]string{
		"C37: no group":          strings.ReplaceAll(obs(), "a=group:BUNDLE 0 1\r\n", ""),
		"C41: one unknown codec": strings.ReplaceAll(obs(), "H264/90000", "H265/90000"),
		"C42: two pictures":      strings.Replace(obs(), "BUNDLE 0 1", "BUNDLE 0 1 2", 1) + section("video", "2", "97", "actpass", "a=rtpmap:97 VP8/90000"),
	} {
		if status, text := d.post("/whip/refused", offer); status != 422 {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
}

func letters(r rune) rune {
	if r >= 'a' && r <= 'z' {
		return r
	}
	return -1
}

// withData adds a data channel to an offer, as some pages always do.
func withData(offer string) string {
	return strings.Replace(offer, "BUNDLE 0 1", "BUNDLE 0 1 2", 1) + crlf("m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
		"c=IN IP4 0.0.0.0", "a=mid:2", "a=setup:actpass", "a=ice-ufrag:EsAw", "a=ice-pwd:asd88fgpdd777uzjYhagZg", "a=sctp-port:5000", fingerprint)
}

func TestStandardPlayersAreAnsweredWhole(t *testing.T) {
	d := newDoors(t)
	player := func(offer string) string { return strings.ReplaceAll(offer, "a=sendonly", "a=recvonly") }
	pc := standard(t, video(webrtc.MimeTypeVP8, "", feedback, 100), h264High)
	recvonly(t, pc)
	for name, offer := range map[string]string{
		"pion":                  offerOf(t, pc),
		"pion, both directions": strings.ReplaceAll(offerOf(t, pc), "a=recvonly", "a=sendrecv"),
		"H.264 alone":           player(obs()),
		"passive":               player(ffmpeg(true, true)),
		"sound alone":           player(ffmpeg(true, false)),
		"picture alone":         player(ffmpeg(false, true)),
		"a data channel":        withData(player(obs())),
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := d.post("/whep/algebra", offer)
			if status != 201 {
				t.Fatalf("%d %s", status, answer)
			}
			conform(t, offer, answer, "sendonly")
		})
	}
}

func recvonly(t *testing.T, pc *webrtc.PeerConnection) {
	t.Helper()
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
}

func offerOf(t *testing.T, pc *webrtc.PeerConnection) string {
	t.Helper()
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	return offer.SDP
}

// viewer collects the picture that a peer connection gets.
type viewer struct {
	mu      sync.Mutex
	packets []*rtp.Packet
}

func (v *viewer) watch(pc *webrtc.PeerConnection) {
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			v.mu.Lock()
			v.packets = append(v.packets, p)
			v.mu.Unlock()
		}
	})
}

func (v *viewer) got() []*rtp.Packet {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.packets)
}

// soon repeats a look until it says that it is done.
func soon(t *testing.T, what string, look func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(15 * time.Second)
	for !look() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within 15 s", what)
		}
	}
}

// teachH264 publishes through the door and waits until a student who comes must be served from the ring.
func (d *doors) teachH264(sets ...string) {
	d.t.Helper()
	var raw [][]byte
	for _, s := range sets {
		raw = append(raw, unhex(d.t, s))
	}
	e := newEncoder(d.t, raw...)
	d.through("/whip/algebra", e.pc)
	e.play()
	camera, release := d.hub.Acquire(media.TrackID{Room: "algebra", Name: media.Camera})
	d.t.Cleanup(release)
	soon(d.t, "a class that has been going on", func() bool {
		for l := range sets {
			head, _ := camera.Head(media.Layer(l))
			if key, ok := camera.Keyframe(media.Layer(l)); !ok || head < key+12 {
				return false
			}
		}
		return !slices.ContainsFunc(camera.State().Info.Layers, func(l media.LayerInfo) bool { return l.Width == 0 })
	})
}

// A keyframe of OBS is four packets; a decoder needs them all, and the publisher makes no other when it is asked.
func TestH264IsDecodableFromTheFirstPacketOn(t *testing.T) {
	d := newDoors(t)
	d.teachH264(sps720)
	mine := video(webrtc.MimeTypeH264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f", feedback, 108)
	pc := standard(t, video(webrtc.MimeTypeVP8, "", feedback, 100), mine)
	recvonly(t, pc)
	var v viewer
	v.watch(pc)
	d.through("/whep/algebra", pc)
	soon(t, "the picture", func() bool { return len(v.got()) >= 80 })
	got := v.got()
	var picture []byte
	depacketizer := &codecs.H264Packet{}
	for i, p := range got {
		if p.PayloadType != 108 {
			t.Fatalf("packet %d has the payload type %d, want the student's 108", i, p.PayloadType)
		}
		if i > 0 && p.SequenceNumber != got[i-1].SequenceNumber+1 {
			t.Fatalf("packet %d: sequence %d follows %d", i, p.SequenceNumber, got[i-1].SequenceNumber)
		}
		if p.Timestamp != got[0].Timestamp {
			continue
		}
		unit, err := depacketizer.Unmarshal(p.Payload)
		if err != nil {
			t.Fatal(err)
		}
		picture = append(picture, unit...)
	}
	start := []byte{0, 0, 0, 1}
	units := bytes.Split(picture, start)[1:]
	if len(units) != 3 || !bytes.Equal(units[0], unhex(t, sps720)) || units[1][0] != 0x68 || units[2][0] != 0x65 || !got[3].Marker {
		t.Errorf("the first picture is % x", units)
	}
	frames := 0
	for _, p := range got[4:] {
		if p.Payload[0] == 0x41 {
			frames++
			if p.Timestamp == got[3].Timestamp {
				t.Error("a slice has the time of the keyframe")
			}
		}
	}
	if frames < 40 {
		t.Errorf("%d frames follow", frames)
	}

	r, err := Watch(t.Context(), WatchConfig{URL: d.URL + "/whep/algebra", Students: 3, For: 1500 * time.Millisecond, SettingEngine: onLoopback})
	if err != nil || r.Watching != 3 || r.Lost != 0 || r.Reconnects != 0 || r.Hops["0"] != 3 {
		t.Errorf("students: %v %+v", err, r)
	}
}

// OBS names its largest layer "0"; browsers' pages name theirs as they like.
func TestTheLargestPictureIsServedWhateverItsName(t *testing.T) {
	for i, sets := range [][]string{{sps1080, sps720, sps360}, {sps360, sps720, sps1080}} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			d := newDoors(t)
			d.teachH264(sets...)
			pc := standard(t, h264High)
			recvonly(t, pc)
			var v viewer
			v.watch(pc)
			d.through("/whep/algebra", pc)
			soon(t, "the picture", func() bool { return len(v.got()) >= 8 })
			if got := v.got()[0].Payload; !bytes.Equal(got, unhex(t, sps1080)) {
				t.Errorf("the picture begins with % x", got)
			}
		})
	}
}
