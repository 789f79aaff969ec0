package wish

import (
	"strings"
	"testing"
	"unicode"
)

// FuzzParseCandidate reads the candidates that a client names. What is usable is one line with an address, and stays what it
// is when it is read again.
func FuzzParseCandidate(f *testing.F) {
	f.Add(host1)
	f.Add(host2)
	f.Add("candidate:1 0 TCP 1 192.0.2.1 9 typ host tcptype active generation 0")
	f.Add("candidate:1 1 udp 1 fe80::1%eth0 9 typ srflx raddr 0.0.0.0 rport 0")
	f.Add("candidate:1 1 udp 1 ::ffff:192.0.2.1 9 typ relay tcptype")
	f.Fuzz(func(t *testing.T, line string) {
		c, err := parseCandidate(line)
		if err != nil {
			return
		}
		if c.component < 1 || len(c.text) > 512 || !strings.HasPrefix(c.text, "candidate:") {
			t.Fatalf("%q is read as %+v", line, c)
		}
		if i := strings.IndexFunc(c.text, func(r rune) bool { return r != ' ' && unicode.IsSpace(r) }); i >= 0 {
			t.Fatalf("%q is more than one line, or has more than spaces", c.text)
		}
		if strings.Trim(strings.Fields(c.text)[1], "0") == "" {
			t.Fatalf("%q is handed on with the component 0", c.text)
		}
		again, err := parseCandidate(c.text)
		if err != nil || again != c {
			t.Fatalf("%+v became %+v, %v", c, again, err)
		}
		if c.usable() && (!c.address.IsValid() || c.component != 1 || c.kind == "") {
			t.Fatalf("%+v is usable", c)
		}
		if r := c.rank(); r < 0 || r > 7 {
			t.Fatalf("%+v has rank %d", c, r)
		}
	})
}
