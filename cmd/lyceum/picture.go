package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"lyceum/cmd/node"
)

const (
	pictureEvery = time.Second
	// pictureAsk bounds the questions of one picture: a node that hangs must not freeze it.
	pictureAsk = 2 * time.Second
)

// The colours of a terminal (ECMA-48, SGR).
const (
	plainText = ""
	boldText  = "\x1b[1m"
	redText   = "\x1b[31m"
	greenText = "\x1b[32m"
)

// line is a line of the picture.
type line struct{ text, colour string }

// picture is the living state of a mesh in a terminal. What does not change is printed once, so that it can be scrolled
// to, selected and clicked in peace; the lines below it are redrawn, and only when they have changed.
type picture struct {
	// Set by its maker, never changed.
	up     *up
	fixed  string
	screen *os.File

	// Owned by show.
	width, height int
	drawn         string
	rows          int
}

// show redraws until ctx is done.
func (p *picture) show(ctx context.Context) {
	tick := time.NewTicker(pictureEvery)
	defer tick.Stop()
	for {
		p.draw(p.up.living(ctx))
		select {
		case <-ctx.Done():
			fmt.Fprintln(p.screen, "\nStopping ...")
			return
		case <-tick.C:
		}
	}
}

func (p *picture) draw(lines []line) {
	width, height, err := term.GetSize(int(p.screen.Fd()))
	if err != nil {
		width, height = 80, 24
	}
	var b strings.Builder
	if width != p.width || height != p.height {
		// The terminal has wrapped its lines anew, and how many rows they take is not known any more.
		if p.width != 0 {
			b.WriteString("\x1b[H\x1b[2J")
		}
		b.WriteString(p.fixed)
		p.width, p.height, p.drawn, p.rows = width, height, "", 0
	}
	text, rows := render(lines, width, height, os.Getenv("NO_COLOR") == "")
	if text == p.drawn {
		return
	}
	if p.rows > 0 {
		fmt.Fprintf(&b, "\x1b[%dF", p.rows)
	}
	b.WriteString(text + "\x1b[J")
	p.drawn, p.rows = text, rows
	_, _ = p.screen.WriteString(b.String()) // nobody looks at a terminal that is gone
}

// render writes lines over what a terminal shows, each cut to one row, and no more than fit.
func render(lines []line, width, height int, colours bool) (text string, rows int) {
	lines = lines[:min(len(lines), max(1, height-1))]
	var b strings.Builder
	for _, l := range lines {
		if r := []rune(l.text); len(r) > width {
			l.text = string(r[:max(0, width-1)]) + "…"
		}
		if colours && l.colour != plainText {
			l.text = l.colour + l.text + "\x1b[m"
		}
		b.WriteString(l.text + "\x1b[K\n")
	}
	return b.String(), len(lines)
}

// fixed says where to click and where to look.
func (u *up) fixed(s ready, took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Lyceum: one class, three nodes, ready after %.1f s. Ctrl-C ends it.\n", took.Seconds())
	if u.demo {
		b.WriteString("A teacher plays a clip. To teach yourself, start without --demo.\n")
	} else {
		fmt.Fprintf(&b, "\nTeach (at %s):\n  %s\n", s.Nodes[0].ID, s.Teacher.Page)
	}
	fmt.Fprintf(&b, "\nWatch as a student (at %s):\n  %s\n", s.Nodes[1].ID, s.Student.Page)
	fmt.Fprintf(&b, "\nAddresses and tokens for other clients:  %s\nLogs, node by node:\n", u.seatsFile())
	for _, s := range sites {
		fmt.Fprintf(&b, "  %s\n", u.children.logFile(s.ID))
	}
	b.WriteString("\n")
	return b.String()
}

// living is what changes: the nodes, and how the room's tracks reach its students.
func (u *up) living(ctx context.Context) []line {
	ctx, cancel := context.WithTimeout(ctx, pictureAsk)
	defer cancel()
	var nodes node.NodeList
	var tree node.Tree
	answered := false
	for i := range sites {
		if u.nodes[i].ended() {
			continue
		}
		a := &adminClient{base: u.mesh.admin(i)}
		if a.call(ctx, http.MethodGet, "/v1/nodes", nil, &nodes) != nil {
			continue
		}
		answered = a.call(ctx, http.MethodGet, "/v1/rooms/"+demoRoom+"/tree", nil, &tree) == nil
		break
	}
	var lines []line
	if !answered {
		lines = append(lines, line{"No node answers.", redText})
	} else {
		lines = append(nodeLines(nodes), line{})
		var b strings.Builder
		writeTree(&b, tree)
		for i, text := range strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n") {
			l := line{text, plainText}
			if i == 0 && tree.Live {
				l.colour = greenText
			}
			lines = append(lines, l)
		}
	}
	for _, c := range u.children.endedEarly() {
		lines = append(lines, line{fmt.Sprintf("The process %s ended (%s); its log tells more.", c.name, c.how()), redText})
	}
	return lines
}

// nodeLines is a table of nodes that fits a narrow terminal.
func nodeLines(list node.NodeList) []line {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tREGION\tSTATE\tSTUDENTS\tRTT\tURL")
	for _, n := range list.Nodes {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", n.ID, n.Region, n.State(), n.Sessions, rtt(n), n.URL)
	}
	_ = w.Flush() // a strings.Builder takes all
	var lines []line
	for i, text := range strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n") {
		l := line{text, plainText}
		switch {
		case i == 0:
			l.colour = boldText
		case !list.Nodes[i-1].Alive:
			l.colour = redText
		}
		lines = append(lines, l)
	}
	return lines
}

func rtt(n node.NodeInfo) string {
	if n.RTT == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f ms", n.RTT)
}

// writeNodes writes the nodes of a mesh as a table, and what is wrong with them.
func writeNodes(b *strings.Builder, list node.NodeList) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tREGION\tPLACE\tSTATE\tVOTES\tROLES\tSTUDENTS\tRTT\tVERSION\tURL")
	for _, n := range list.Nodes {
		votes := "-"
		if n.Votes {
			votes = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%.1f,%.1f\t%s\t%s\t%s\t%d of %d\t%s\t%s\t%s\n", n.ID, orDash(n.Region), n.Latitude, n.Longitude,
			n.State(), votes, strings.Join(n.Roles, " "), n.Sessions, n.Seats, rtt(n), n.Version, n.URL)
	}
	_ = w.Flush() // a strings.Builder takes all
	for _, p := range list.Problems {
		fmt.Fprintf(b, "The mesh: %s\n", p)
	}
	for _, n := range list.Nodes {
		if n.Problem != "" {
			fmt.Fprintf(b, "%s: %s\n", n.ID, n.Problem)
		}
	}
}

// writeTree writes how a room's tracks reach its students.
func writeTree(b *strings.Builder, t node.Tree) {
	students := count(t.Students, "student")
	switch {
	case t.Home == "":
		fmt.Fprintf(b, "Room %s waits for its first teacher; %s.\n", t.Room, students)
	case !t.Live:
		fmt.Fprintf(b, "Room %s waits for its teacher at %s (epoch %d); %s.\n", t.Room, t.Home, t.Epoch, students)
	default:
		fmt.Fprintf(b, "Room %s is live at %s (epoch %d); %s.\n", t.Room, t.Home, t.Epoch, students)
	}
	children := map[string][]node.TreeNode{}
	known := map[string]bool{"": true}
	for _, n := range t.Nodes {
		known[n.ID] = true
	}
	for _, n := range t.Nodes {
		if !known[n.Parent] {
			n.Parent = "" // the parent does not answer or has lost its tracks; its children are shown all the same
		}
		children[n.Parent] = append(children[n.Parent], n)
	}
	var branch func(parent, indent string)
	branch = func(parent, indent string) {
		for _, n := range children[parent] {
			fmt.Fprintf(b, "%s%s  %s, %s%s\n", indent, n.ID, count(n.Students, "student"), strings.Join(n.Carries(), ", "), reach(n))
			if n.Why != "" {
				fmt.Fprintf(b, "%s  tier %d, because %s\n", indent, n.Tier, n.Why)
			}
			branch(n.ID, indent+"  ")
		}
	}
	branch("", "  ")
	if len(t.StandingBy) > 0 {
		fmt.Fprintf(b, "  standing by, without media: %s\n", strings.Join(t.StandingBy, ", "))
	}
	for _, problem := range slices.Sorted(slices.Values(t.Problems)) {
		fmt.Fprintf(b, "  %s\n", problem)
	}
}

// reach says how a node is reached from its parent, and who stands by.
func reach(n node.TreeNode) string {
	var s string
	if n.Link != nil {
		s = fmt.Sprintf("  [%s]", n.Link)
	}
	if n.Standby != "" {
		s += "  standby " + n.Standby
	}
	return s
}

// count is a number of things in words.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
