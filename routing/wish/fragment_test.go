package wish

import (
	"slices"
	"strings"
	"testing"
)

func lines(l ...string) string { return strings.Join(l, "\r\n") + "\r\n" }

const (
	host1  = "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"
	host2  = "candidate:2 1 udp 2130706175 2001:db8::1 5001 typ host"
	pwd    = "asd88fgpdd777uzjYhagZg"
	mline  = "m=audio 9 UDP/TLS/RTP/SAVPF 111"
	groups = "a=group:BUNDLE 0 1"
)

func TestParseFragment(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want Fragment
	}{
		"RFC 9725": {
			lines(groups, mline, "a=mid:0", "a=ice-ufrag:EsAw", "a=ice-pwd:"+pwd, "a="+host1, "a="+host2, "a=end-of-candidates"),
			Fragment{Ufrag: "EsAw", Pwd: pwd, Candidates: []string{host1, host2}, End: true, Mid: "0"},
		},
		"credentials of the session": {
			lines("a=ice-ufrag:EsAw", "a=ice-pwd:"+pwd, "m=audio 9 RTP/AVP 0", "a=mid:0", "a="+host1),
			Fragment{Ufrag: "EsAw", Pwd: pwd, Candidates: []string{host1}, Mid: "0"},
		},
		"component 0, repeated under every mid": {
			lines("a=ice-ufrag:EsAw", "a=ice-pwd:"+pwd, "m=audio 9 RTP/AVP 0", "a=mid:0", "a=candidate:1 0 UDP 2130706431 192.0.2.1 5000 typ host",
				"m=audio 9 RTP/AVP 0", "a=mid:1", "a=candidate:1 0 UDP 2130706431 192.0.2.1 5000 typ host"),
			Fragment{Ufrag: "EsAw", Pwd: pwd, Candidates: []string{"candidate:1 1 UDP 2130706431 192.0.2.1 5000 typ host"}, Mid: "0"},
		},
		"end only": {
			lines("a=ice-ufrag:EsAw", "a=ice-pwd:"+pwd, mline, "a=mid:0", "a=end-of-candidates"),
			Fragment{Ufrag: "EsAw", Pwd: pwd, End: true, Mid: "0"},
		},
		"end without credentials, LF": {"a=end-of-candidates\n", Fragment{End: true}},
		"what cannot be used is left out": {
			lines("a="+host1, "a=candidate:3 1 foo 1 192.0.2.1 5000 typ host", "a=candidate:4 1 udp 1 8d1c.local 5000 typ host",
				"a=candidate:5 1 tcp 1 192.0.2.1 9 typ host tcptype active", "a=candidate:6 2 udp 1 192.0.2.1 5000 typ host",
				"a=candidate:7 1 udp 1 example.org 5000 typ host", "a=candidate:8 1 udp 1 192.0.2.1 5000 typ other"),
			Fragment{Candidates: []string{host1}},
		},
		"nothing that can be used": {lines("a=candidate:4 1 udp 1 8d1c.local 5000 typ host"), Fragment{}},
		"extensions are kept": {
			lines("a=candidate:1 1 udp 41885439 198.51.100.9 50000 typ relay raddr 192.0.2.1 rport 5000 generation 0 ufrag EsAw network-id 1"),
			Fragment{Candidates: []string{"candidate:1 1 udp 41885439 198.51.100.9 50000 typ relay raddr 192.0.2.1 rport 5000 generation 0 ufrag EsAw network-id 1"}},
		},
	} {
		got, err := ParseFragment(c.body)
		got.Media = ""
		if err != nil || got.String() != c.want.String() || !slices.Equal(got.Candidates, c.want.Candidates) || got.Mid != c.want.Mid {
			t.Errorf("%s: %+v %v, want %+v", name, got, err, c.want)
		}
	}
	many := strings.Builder{}
	for i := range maxCandidates + 1 {
		many.WriteString("a=candidate:1 1 udp 1 192.0.2.1 " + strings.Repeat("1", i%3+1) + " typ host generation " + strings.Repeat("1", i) + "\r\n")
	}
	for name, body := range map[string]string{
		"nothing": "", "words": "hello world", "bytes": "\x00\x01\x02\xff", "ufrag alone": lines("a=ice-ufrag:EsAw", "a="+host1),
		"pwd alone": lines("a=ice-pwd:" + pwd), "short pwd": lines("a=ice-ufrag:EsAw", "a=ice-pwd:short"),
		"a space in the ufrag": lines("a=ice-ufrag:Es Aw", "a=ice-pwd:"+pwd), "media alone": lines(mline, "a=mid:0"),
		"a broken candidate": lines("a=candidate:nonsense"), "no port": lines("a=candidate:1 1 udp 1 192.0.2.1 70000 typ host"),
		"too many": many.String(), "a long candidate": lines("a=" + host1 + strings.Repeat(" x", 500)),
	} {
		if f, err := ParseFragment(body); err == nil {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestAFragmentGoesIntoAnOffer(t *testing.T) {
	offer := lines("v=0", groups, "a=ice-ufrag:old1", mline, "a=mid:0", "a=ice-ufrag:old1", "a=ice-pwd:"+pwd, "a="+host2, "a=end-of-candidates",
		"m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:1", "a=ice-ufrag:old1", "a=ice-pwd:"+pwd)
	f := Fragment{Ufrag: "new1", Pwd: "0123456789012345678901", Candidates: []string{host1}, End: true}
	want := lines("v=0", groups, "a=ice-ufrag:new1", mline, "a=mid:0", "a=ice-ufrag:new1", "a=ice-pwd:"+f.Pwd, "a="+host1, "a=end-of-candidates",
		"m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:1", "a=ice-ufrag:new1", "a=ice-pwd:"+f.Pwd, "a="+host1, "a=end-of-candidates")
	if got := f.Into(offer); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func FuzzParseFragment(f *testing.F) {
	f.Add(lines(groups, mline, "a=mid:0", "a=ice-ufrag:EsAw", "a=ice-pwd:"+pwd, "a="+host1, "a=end-of-candidates"))
	f.Add("a=candidate:1 0 tcp 1 ::1%lo 9 typ host tcptype passive\n")
	f.Fuzz(func(t *testing.T, body string) {
		got, err := ParseFragment(body)
		if err != nil {
			return
		}
		if len(got.Candidates) > maxCandidates || (got.Ufrag == "") != (got.Pwd == "") {
			t.Fatalf("%+v", got)
		}
		again, err := ParseFragment(got.String())
		if err != nil && (got.Ufrag != "" || got.End || len(got.Candidates) > 0) {
			t.Fatalf("what was written cannot be read: %v\n%s", err, got)
		}
		if err == nil && !slices.Equal(again.Candidates, got.Candidates) {
			t.Fatalf("%v became %v", got.Candidates, again.Candidates)
		}
	})
}
