package edge

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"

	"lyceum/mesh/media"
)

// anOffer is one as browsers make it, shortened.
const anOffer = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=msid-semantic: WMS\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=mid:0\r\na=recvonly\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n" +
	"a=fingerprint:sha-256 00:01\r\na=setup:actpass\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96 97 102\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=mid:1\r\na=sendrecv\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n" +
	"a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 transport-cc\r\na=rtcp-fb:96 nack\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n" +
	"a=rtpmap:102 H264/90000\r\na=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\n"

// FuzzReadOffer reads what a student may offer. What is taken asks for a few sections, of which none can send, and means the
// same when it is read again; the rest is refused for what it is.
func FuzzReadOffer(f *testing.F) {
	f.Add(anOffer)
	f.Add(strings.ReplaceAll(anOffer, "a=sendrecv\r\n", ""))
	f.Add(anOffer[:strings.Index(anOffer, "m=audio")])
	f.Add(strings.ReplaceAll(anOffer, "actpass", "passive"))
	f.Fuzz(func(t *testing.T, text string) {
		o, err := readOffer(text)
		if err != nil {
			if !errors.Is(err, ErrOffer) {
				t.Fatalf("%v", err)
			}
			return
		}
		if n := len(o.parts); n == 0 || n > 2*maxPictures {
			t.Fatalf("%d sections", n)
		}
		var d sdp.SessionDescription
		if err := d.UnmarshalString(o.sdp); err != nil {
			t.Fatalf("what is handed on cannot be read: %v\n%s", err, o.sdp)
		}
		for _, m := range d.MediaDescriptions {
			if _, sends := m.Attribute("sendrecv"); sends && kindOf(m.MediaName.Media) != 0 {
				t.Fatalf("a section could send:\n%s", o.sdp)
			}
		}
		again, err := readOffer(o.sdp)
		if err != nil {
			t.Fatalf("a second time: %v\n%s", err, o.sdp)
		}
		same := func(a, b part) bool { return a.kind == b.kind && a.name == b.name && slices.Equal(a.tracks, b.tracks) }
		if !slices.EqualFunc(o.parts, again.parts, same) || o.passive != again.passive {
			t.Fatalf("%+v became %+v", o, again)
		}
	})
}

// FuzzFormat compares the formats that publishers and students name.
func FuzzFormat(f *testing.F) {
	f.Add("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f", "packetization-mode=0; profile-level-id=640C1F")
	f.Add("profile-level-id=\u212a\u212a", "profile-level-id=\xff\xff\xff\xff\xff\xff")
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, fmtp := range []string{a, b} {
			h := parseH264(fmtp)
			if len(h.profile) != 4 || strings.Trim(h.profile, "0123456789abcdef") != "" || h.mode == "" {
				t.Fatalf("%q is read as %+v", fmtp, h)
			}
			if again := parseH264("profile-level-id=" + h.profile + "1f;packetization-mode=" + h.mode); again != h {
				t.Fatalf("%+v became %+v", h, again)
			}
		}
		x, y := media.Codec{MimeType: "video/H264", Fmtp: a}, media.Codec{MimeType: "video/H264", Fmtp: b}
		if s := fit(x, x); s != 4 {
			t.Fatalf("%q fits itself by %d", a, s)
		}
		if there, back := fit(x, y), fit(y, x); there < 0 || there > 4 || there != back && there != 0 && back != 0 {
			t.Fatalf("%q and %q fit by %d, and by %d the other way round", a, b, there, back)
		}
	})
}
