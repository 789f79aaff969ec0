package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"lyceum/cmd/node"
)

const pictureEvery = time.Second

// picture is the living state of a mesh in a terminal.
type picture struct {
	up    *up
	seats ready
	took  time.Duration
}

// show redraws until ctx is done.
func (p *picture) show(ctx context.Context) {
	tick := time.NewTicker(pictureEvery)
	defer tick.Stop()
	for {
		// Home the cursor, write over what is there, and clear what is left below (ECMA-48).
		fmt.Print("\x1b[H", strings.ReplaceAll(p.text(ctx), "\n", "\x1b[K\n"), "\x1b[J")
		select {
		case <-ctx.Done():
			fmt.Println("\nStopping ...")
			return
		case <-tick.C:
		}
	}
}

func (p *picture) text(ctx context.Context) string {
	var b strings.Builder
	b.WriteString("Lyceum: one class, three nodes. Ctrl-C ends it.\n\n")
	var tree node.Tree
	var nodes node.NodeList
	var err error
	for i := range sites {
		if p.up.nodes[i].ended() {
			continue
		}
		a := &adminClient{base: p.up.mesh.admin(i)}
		if err = a.call(ctx, http.MethodGet, "/v1/nodes", nil, &nodes); err != nil {
			continue
		}
		err = a.call(ctx, http.MethodGet, "/v1/rooms/"+demoRoom+"/tree", nil, &tree)
		break
	}
	if err != nil {
		fmt.Fprintf(&b, "%v\n", err)
	}
	writeNodes(&b, nodes)
	b.WriteString("\n")
	writeTree(&b, tree)
	b.WriteString("\n")
	b.WriteString(p.links())
	return b.String()
}

// links says where to click and where to look.
func (p *picture) links() string {
	var b strings.Builder
	s := p.seats
	fmt.Fprintf(&b, "Ready after %.1f s.\n\n", p.took.Seconds())
	fmt.Fprintf(&b, "Watch as a student (at %s):\n  %s\n", s.Nodes[1].ID, s.Student.Page)
	if p.up.demo {
		fmt.Fprintf(&b, "A teacher is playing a clip. To teach yourself, start without --demo.\n")
	} else {
		fmt.Fprintf(&b, "Teach (at %s):\n  %s\n", s.Nodes[0].ID, s.Teacher.Page)
	}
	b.WriteString("\nFor any WHIP or WHEP client:\n")
	fmt.Fprintf(&b, "  %s\n    bearer token %s\n  %s\n    bearer token %s\n", s.Teacher.WHIP, s.Teacher.Token,
		s.Student.WHEP, s.Student.Token)
	b.WriteString("\nLogs:\n")
	for _, n := range s.Nodes {
		fmt.Fprintf(&b, "  %s\n", n.Log)
	}
	return b.String()
}

// writeNodes writes the nodes of a mesh as a table.
func writeNodes(b *strings.Builder, list node.NodeList) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tREGION\tSTATE\tROLES\tSTUDENTS\tRTT\tVERSION\tURL")
	for _, n := range list.Nodes {
		rtt := "-"
		if n.RTT > 0 {
			rtt = fmt.Sprintf("%.1f ms", n.RTT)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d of %d\t%s\t%s\t%s\n", n.ID, n.Region, n.State(), strings.Join(n.Roles, " "),
			n.Sessions, n.Seats, rtt, n.Version, n.URL)
	}
	_ = w.Flush() // a strings.Builder takes all
}

// writeTree writes how a room's tracks reach its students.
func writeTree(b *strings.Builder, t node.Tree) {
	switch {
	case t.Room == "":
		return
	case t.Home == "":
		fmt.Fprintf(b, "Room %s waits for its first teacher; %d students.\n", t.Room, t.Students)
	case !t.Live:
		fmt.Fprintf(b, "Room %s waits for its teacher at %s (epoch %d); %d students.\n", t.Room, t.Home, t.Epoch, t.Students)
	default:
		fmt.Fprintf(b, "Room %s is live at %s (epoch %d); %d students.\n", t.Room, t.Home, t.Epoch, t.Students)
	}
	children := map[string][]node.TreeNode{}
	for _, n := range t.Nodes {
		children[n.Parent] = append(children[n.Parent], n)
	}
	var branch func(parent, indent string)
	branch = func(parent, indent string) {
		for _, n := range children[parent] {
			fmt.Fprintf(b, "%s%s  %d students, %s\n", indent, n.ID, n.Students, strings.Join(n.Carries(), ", "))
			if n.ID != parent {
				branch(n.ID, indent+"  ")
			}
		}
	}
	branch("", "  ")
	for _, problem := range t.Problems {
		fmt.Fprintf(b, "  %s\n", problem)
	}
}
