package wish

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// anOffer is an offer of sound and picture by a browser, in short.
func anOffer() string {
	section := func(kind, mid, pt, rtpmap string) string {
		return lines("m="+kind+" 9 UDP/TLS/RTP/SAVPF "+pt, "c=IN IP4 0.0.0.0", "a=mid:"+mid, "a=sendonly", "a=rtcp-mux",
			"a=ice-ufrag:EsAw", "a=ice-pwd:"+pwd, "a=setup:actpass",
			"a=fingerprint:sha-256 DA:39:A3:EE:5E:6B:4B:0D:32:55:BF:EF:95:60:18:90:AF:D8:07:09:DA:39:A3:EE:5E:6B:4B:0D:32:55:BF:EF",
			"a=rtpmap:"+pt+" "+rtpmap)
	}
	return lines("v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", groups) + section("audio", "0", "111", "opus/48000/2") +
		section("video", "1", "96", "VP8/90000") + lines("a="+host1)
}

func TestCheckOffer(t *testing.T) {
	o, err := CheckOffer(anOffer(), RulesFor(WHIP))
	if err != nil || o.Audio != 1 || o.Video != 1 || o.Ufrag != "EsAw" || o.Pwd != pwd || o.SDP != anOffer() {
		t.Fatalf("%+v %v", o, err)
	}
	swap := func(old, new string) string { return strings.ReplaceAll(anOffer(), old, new) }
	one := func(old, new string) string { return strings.Replace(anOffer(), old, new, 1) }
	video := anOffer()[strings.Index(anOffer(), "m=video"):]
	data := lines("m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "a=mid:2", "a=ice-ufrag:EsAw", "a=ice-pwd:"+pwd, "a=setup:actpass",
		"a=fingerprint:sha-256 DA:39", "a=sctp-port:5000")
	sessionLevel := func() string {
		s := anOffer()
		for _, l := range []string{"a=ice-ufrag:EsAw", "a=ice-pwd:" + pwd, "a=setup:actpass"} {
			s = strings.ReplaceAll(s, l+"\r\n", "")
			s = strings.Replace(s, "t=0 0\r\n", "t=0 0\r\n"+l+"\r\n", 1)
		}
		return s
	}()
	for name, c := range map[string]struct {
		protocol Protocol
		offer    string
		status   int
	}{
		"sendrecv to publish":      {WHIP, swap("a=sendonly", "a=sendrecv"), 0},
		"no direction":             {WHIP, swap("a=sendonly\r\n", ""), 0},
		"recvonly to publish":      {WHIP, swap("a=sendonly", "a=recvonly"), 422},
		"inactive to publish":      {WHIP, one("a=sendonly", "a=inactive"), 422},
		"direction of session":     {WHIP, strings.Replace(swap("a=sendonly\r\n", ""), "t=0 0", "t=0 0\r\na=recvonly", 1), 422},
		"recvonly to watch":        {WHEP, swap("a=sendonly", "a=recvonly"), 0},
		"sendonly to watch":        {WHEP, anOffer(), 422},
		"credentials of session":   {WHIP, sessionLevel, 0},
		"a data channel":           {WHIP, strings.Replace(anOffer(), groups, groups+" 2", 1) + data, 0},
		"data channel alone":       {WHIP, lines("v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 2") + data, 422},
		"audio alone":              {WHIP, anOffer()[:strings.Index(anOffer(), "m=video")], 0}, // its group still names both
		"passive":                  {WHIP, swap("actpass", "passive"), 0},
		"no group":                 {WHIP, swap(groups+"\r\n", ""), 422},
		"half a group":             {WHIP, swap(groups, "a=group:BUNDLE 0"), 422},
		"two cameras":              {WHIP, strings.Replace(anOffer(), groups, groups+" 9", 1) + strings.Replace(video, "a=mid:1", "a=mid:9", 1), 422},
		"the same mid twice":       {WHIP, anOffer() + video, 400},
		"unknown codec":            {WHIP, swap("VP8/90000", "H265/90000"), 422},
		"no codec":                 {WHIP, swap("a=rtpmap:96 VP8/90000\r\n", ""), 422},
		"port 0":                   {WHIP, swap("m=video 9", "m=video 0"), 422},
		"port 0, bundle-only":      {WHIP, strings.Replace(swap("m=video 9", "m=video 0"), "a=mid:1", "a=mid:1\r\na=bundle-only", 1), 0},
		"five layers":              {WHIP, anOffer() + lines("a=rid:0 send", "a=rid:1 send", "a=rid:2 send", "a=rid:3 send", "a=rid:4 send"), 422},
		"words":                    {WHIP, "hello world", 400},
		"nothing":                  {WHIP, "", 400},
		"cut short":                {WHIP, anOffer()[:60], 400},
		"no media":                 {WHIP, anOffer()[:strings.Index(anOffer(), "m=")], 400},
		"no fingerprint":           {WHIP, one("a=fingerprint", "a=other"), 400},
		"no ufrag":                 {WHIP, one("a=ice-ufrag", "a=other"), 400},
		"short pwd":                {WHIP, one(pwd, "short"), 400},
		"no mid":                   {WHIP, one("a=mid:0\r\n", ""), 400},
		"no setup":                 {WHIP, one("a=setup:actpass\r\n", ""), 400},
		"a broken candidate":       {WHIP, anOffer() + lines("a=candidate:x"), 400},
		"nine sections":            {WHIP, anOffer() + strings.Repeat(video, 7), 400},
		"a kind that nobody knows": {WHIP, swap("m=video", "m=text"), 422},
		"too many formats":         {WHIP, swap("SAVPF 96", "SAVPF 96"+strings.Repeat(" 97", maxFormats)), 400},
		"too many attributes":      {WHIP, anOffer() + strings.Repeat("a=x\r\n", maxAttributes), 400},
		"too many of the session":  {WHIP, swap("t=0 0", "t=0 0"+strings.Repeat("\r\na=x", maxAttributes)), 400},
		"too many candidates":      {WHIP, anOffer() + manyCandidates(maxCandidates), 400},
	} {
		_, err := CheckOffer(c.offer, RulesFor(c.protocol))
		status := 0
		if e, ok := errors.AsType[*Error](err); ok {
			status = e.Status
		}
		if status != c.status || (err != nil) != (status != 0) {
			t.Errorf("%s: %d (%v), want %d", name, status, err, c.status)
		}
	}
}

// manyCandidates are lines with candidates that differ.
func manyCandidates(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a=candidate:1 1 udp 1 192.0.2.1 %d typ host\r\n", 6000+i)
	}
	return b.String()
}

// The first section of the group carries the transport, so that it must be one that there is.
func TestAGroupNamesTheSectionsThatThereAre(t *testing.T) {
	at := strings.Index(anOffer(), "m=video")
	head := anOffer()[:strings.Index(anOffer(), "m=audio")]
	for name, c := range map[string]struct{ offer, want string }{
		"sound alone":      {anOffer()[:at], "a=group:BUNDLE 0"},
		"picture alone":    {head + anOffer()[at:], "a=group:BUNDLE 1"},
		"another order":    {strings.Replace(anOffer(), groups, "a=group:BUNDLE 1 0", 1), "a=group:BUNDLE 1 0"},
		"another group":    {strings.Replace(anOffer(), groups, "a=group:LS 0 1\r\n"+groups, 1), groups},
		"half a group too": {strings.Replace(anOffer(), groups, "a=group:BUNDLE 0\r\n"+groups, 1), groups},
	} {
		o, err := CheckOffer(c.offer, RulesFor(WHIP))
		if err != nil || strings.Count(o.SDP, "a=group:") != 1 || !strings.Contains(o.SDP, c.want+"\r\n") {
			t.Errorf("%s: %v\n%s", name, err, o.SDP)
		}
	}
}

func TestCandidatesThatCannotBeUsedAreLeftOut(t *testing.T) {
	o, err := CheckOffer(anOffer()+lines("a=candidate:4 1 udp 1 8d1c.local 5000 typ host", "a=candidate:5 1 udp 1 example.org 5000 typ host"), RulesFor(WHIP))
	if err != nil || o.SDP != anOffer() || len(o.Candidates) != 1 || o.Candidates[0] != host1 {
		t.Errorf("%v %q\n%s", err, o.Candidates, o.SDP)
	}
}

func FuzzCheckOffer(f *testing.F) {
	f.Add(anOffer())
	f.Add("v=0\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		o, err := CheckOffer(text, RulesFor(WHIP))
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("%v is no *Error", err)
			}
			return
		}
		if o.Audio+o.Video == 0 || o.Ufrag == "" || o.Pwd == "" {
			t.Fatalf("%+v", o)
		}
	})
}

func TestAnswer(t *testing.T) {
	answer := lines("v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", groups, mline, "a=mid:0", "a=rtcp-mux", "a=rtcp-rsize", "a=recvonly",
		"a=candidate:1 1 tcp 1 192.0.2.1 443 typ host tcptype passive", "a=candidate:1 2 tcp 1 192.0.2.1 443 typ host tcptype passive",
		"a=candidate:2 1 udp 1 2001:db8::1 5000 typ host", "a=candidate:3 1 udp 1 192.0.2.1 5000 typ host", "a=end-of-candidates",
		"m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:1", "a=rtcp-mux", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "a=mid:2")
	want := lines("v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", groups, "a=ice-options:trickle ice2", mline, "a=mid:0", "a=rtcp-mux", "a=rtcp-mux-only",
		"a=rtcp-rsize", "a=recvonly", "a=candidate:3 1 udp 1 192.0.2.1 5000 typ host", "a=candidate:2 1 udp 1 2001:db8::1 5000 typ host",
		"a=candidate:1 1 tcp 1 192.0.2.1 443 typ host tcptype passive", "a=end-of-candidates",
		"m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:1", "a=rtcp-mux", "a=rtcp-mux-only", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "a=mid:2")
	got, err := Answer(answer)
	if err != nil || got != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, got, want)
	}
	if again, err := Answer(got); err != nil || again != got {
		t.Errorf("a second time: %v\n%s", err, again)
	}
	_, err = Answer(strings.Replace(answer, "m=video 9", "m=video 0", 1))
	if e, ok := errors.AsType[*Error](err); !ok || e.Status != 422 {
		t.Errorf("a refused section: %v", err)
	}
}
