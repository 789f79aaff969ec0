package directory

import "testing"

func TestLeaderGivesTheLeadAway(t *testing.T) {
	c := newCluster("a", "b", "c")
	nodes := c.startAll(t)
	lead, others := leader(t, nodes)
	if err := others[0].Yield(); err != nil {
		t.Errorf("a voter that does not lead has nothing to give away: %v", err)
	}
	lead.shows(t, "itself leading", func() bool { return lead.Leader() == lead.id })
	if err := lead.Yield(); err != nil {
		t.Fatal(err)
	}
	lead.shows(t, "another one leading", func() bool { id := lead.Leader(); return id != "" && id != lead.id })
	if _, err := lead.Open(soon(t), Room{Name: "demo"}); err != nil {
		t.Errorf("with another leader: %v", err)
	}
}

func TestOnlyVoterKeepsTheLead(t *testing.T) {
	c := newCluster("a")
	n := c.startAll(t)[0]
	n.shows(t, "itself leading", func() bool { return n.Leader() == n.id })
	if err := n.Yield(); err != nil {
		t.Fatal(err)
	}
	if n.Leader() != n.id {
		t.Errorf("%q leads after the only voter gave the lead away", n.Leader())
	}
}
