package node

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddr is the address of whoever sent a request. X-Forwarded-For is believed only as far as configured proxies
// vouch for it: from the right, the first address that is no proxy's is the client's.
func clientAddr(r *http.Request, proxies []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	client := peer.Addr().Unmap().WithZone("")
	trusted := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !trusted(client) {
			break
		}
		a, ok := forwarded(strings.TrimSpace(hop))
		if !ok {
			break
		}
		client = a.Unmap().WithZone("")
	}
	return client
}

// forwarded reads one hop. Some proxies add the port.
func forwarded(hop string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(hop); err == nil {
		return a, true
	}
	a, err := netip.ParseAddrPort(hop)
	return a.Addr(), err == nil
}
