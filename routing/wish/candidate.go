package wish

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// maxCandidates bounds the candidates of one offer or fragment. A laptop with several networks has some twenty.
const maxCandidates = 64

// candidate is the part of a candidate line (RFC 8839, section 5.1) that this package looks at.
type candidate struct {
	text      string // "candidate:..." with a component of at least 1
	component int
	udp       bool
	address   netip.Addr // not valid for a name
	kind      string     // host, srflx, prflx or relay
	tcptype   string     // active, passive or so
}

// parseCandidate reads "candidate:..." and says what is wrong with it.
func parseCandidate(line string) (candidate, error) {
	if len(line) > 512 {
		return candidate{}, fmt.Errorf("a candidate has %d bytes", len(line))
	}
	value, ok := strings.CutPrefix(line, "candidate:")
	f := strings.Fields(value)
	if !ok || len(f) < 8 || f[6] != "typ" {
		return candidate{}, fmt.Errorf("%.80q is not a candidate", line)
	}
	component, err := strconv.ParseUint(f[1], 10, 9)
	if err != nil {
		return candidate{}, fmt.Errorf("the candidate %.80q has no component", line)
	}
	if _, err := strconv.ParseUint(f[3], 10, 32); err != nil {
		return candidate{}, fmt.Errorf("the candidate %.80q has no priority", line)
	}
	if _, err := strconv.ParseUint(f[5], 10, 16); err != nil {
		return candidate{}, fmt.Errorf("the candidate %.80q has no port", line)
	}
	if component == 0 {
		component, f[1] = 1, "1" // some clients count components from 0
	}
	c := candidate{
		text:      "candidate:" + strings.Join(f, " "),
		component: int(component),
		udp:       strings.EqualFold(f[2], "udp"),
		kind:      f[7],
	}
	if !c.udp && !strings.EqualFold(f[2], "tcp") {
		c.kind = "" // a transport that is not known
	}
	if a, err := netip.ParseAddr(f[4]); err == nil {
		c.address = a
	}
	for i := 8; i+1 < len(f); i += 2 {
		if f[i] == "tcptype" {
			c.tcptype = f[i+1]
		}
	}
	return c, nil
}

// usable reports whether a node can send to the candidate. Names (mDNS) are not looked up, an active TCP candidate is
// dialled by its owner, and with rtcp-mux there is one component.
func (c *candidate) usable() bool {
	switch c.kind {
	case "host", "srflx", "prflx", "relay":
		return c.component == 1 && c.address.IsValid() && c.address.Zone() == "" && (c.udp || c.tcptype != "active")
	}
	return false
}

// rank orders candidates of an answer. Some clients use the first candidate and no other, and speak UDP over IPv4.
func (c *candidate) rank() int {
	r := 0
	if !c.udp {
		r += 4
	}
	if c.kind != "host" {
		r += 2
	}
	if !c.address.Is4() {
		r++
	}
	return r
}
