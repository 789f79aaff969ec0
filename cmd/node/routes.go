package node

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"lyceum/routing"
)

// RouteList is the answer to GET /v1/routes: the ways between regions, as the asked node knows them.
type RouteList struct {
	// Region is that of the asked node.
	Region string  `json:"region"`
	Routes []Route `json:"routes"`
}

// Route is the way that tracks take from one region to another.
type Route struct {
	From string `json:"from"`
	To   string `json:"to"`
	// RTT and Loss are what was measured of the direct way.
	RTT  float64 `json:"rtt_ms"`
	Loss float64 `json:"loss"`
	// Via is the region through which tracks go because that is better, "" for none.
	Via string `json:"via,omitempty"`
}

// String says in words how tracks go.
func (r Route) String() string {
	s := fmt.Sprintf("from %s to %s directly", r.From, r.To)
	if r.Via != "" {
		s = fmt.Sprintf("from %s to %s through %s", r.From, r.To, r.Via)
	}
	if r.RTT == 0 {
		return s + ", the direct way is not measured now"
	}
	s += fmt.Sprintf(", the direct way takes %.0f ms there and back", r.RTT)
	if r.Loss > 0 {
		s += fmt.Sprintf(" and loses %.1f %%", r.Loss*100)
	}
	return s
}

func (n *Node) routes() RouteList {
	matrix, table := n.table.Routes()
	return RouteList{Region: n.cfg.Region, Routes: routes(matrix, table)}
}

// routes lists all that is known of the ways between regions, in the order of their names.
func routes(matrix routing.Matrix, table routing.RouteTable) []Route {
	list := []Route{}
	for p, d := range matrix {
		list = append(list, Route{
			From: p.From, To: p.To, RTT: float64(d.RTT) / float64(time.Millisecond), Loss: d.Loss, Via: table.Via(p.From, p.To),
		})
	}
	for p, via := range table {
		if _, ok := matrix[p]; !ok {
			list = append(list, Route{From: p.From, To: p.To, Via: via})
		}
	}
	slices.SortFunc(list, func(a, b Route) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return list
}
