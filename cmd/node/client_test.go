package node

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestClientAddr(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/8")}
	for name, c := range map[string]struct {
		remote, forwarded, want string
	}{
		"no proxy":                     {"192.0.2.1:5", "", "192.0.2.1"},
		"an untrusted peer's word":     {"192.0.2.1:5", "203.0.113.9", "192.0.2.1"},
		"a trusted proxy's word":       {"127.0.0.1:5", "203.0.113.9", "203.0.113.9"},
		"two proxies":                  {"127.0.0.1:5", "203.0.113.9, 10.1.1.1", "203.0.113.9"},
		"a client's lie before them":   {"127.0.0.1:5", "8.8.8.8, 203.0.113.9, 10.1.1.1", "203.0.113.9"},
		"with a port":                  {"127.0.0.1:5", "203.0.113.9:4711", "203.0.113.9"},
		"IPv6 with a port":             {"127.0.0.1:5", "[2001:db8::9]:4711", "2001:db8::9"},
		"garbage before a proxy":       {"127.0.0.1:5", "8.8.8.8, unknown, 10.1.1.1", "10.1.1.1"},
		"garbage":                      {"127.0.0.1:5", "unknown", "127.0.0.1"},
		"a proxy that forwards nobody": {"127.0.0.1:5", "", "127.0.0.1"},
		"an IPv4 address in IPv6":      {"[::ffff:127.0.0.1]:5", "::ffff:203.0.113.9", "203.0.113.9"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: c.remote, Header: http.Header{}}
			if c.forwarded != "" {
				r.Header.Set("X-Forwarded-For", c.forwarded)
			}
			if got := clientAddr(r, proxies); got.String() != c.want {
				t.Errorf("client %s, want %s", got, c.want)
			}
		})
	}
}
