package main

import (
	"strings"
	"testing"

	"lyceum/cmd/node"
)

func TestPictureNeverWrapsNorScrolls(t *testing.T) {
	lines := []line{{"short", plainText}, {strings.Repeat("ä", 100), redText}, {"third", plainText}, {"fourth", plainText}}
	text, rows := render(lines, 20, 4, false)
	if rows != 3 || strings.Count(text, "\n") != 3 {
		t.Errorf("%d rows in a terminal of 4, of which the last is the cursor's:\n%q", rows, text)
	}
	for l := range strings.Lines(text) {
		if n := len([]rune(strings.TrimSuffix(l, "\x1b[K\n"))); n > 20 {
			t.Errorf("a line of %d in a terminal of 20: %q", n, l)
		}
	}
	if strings.Contains(text, redText) {
		t.Error("a colour that nobody wants")
	}
	if text, _ := render(lines, 20, 4, true); !strings.Contains(text, redText+strings.Repeat("ä", 19)+"…\x1b[m") {
		t.Errorf("no red line, or one that does not end: %q", text)
	}
}

func TestTreeShowsNodesWhoseParentIsGone(t *testing.T) {
	var b strings.Builder
	writeTree(&b, node.Tree{
		Room: "algebra", Home: "fra", Epoch: 7, Live: true, Students: 3,
		Nodes: []node.TreeNode{{
			ID: "sin", Parent: "fra", Students: 1, Standby: "iad",
			Tier: 2, Why: "iad is the hub of us for this room",
			Link: &node.LinkInfo{Age: 90, RTT: 48.7, Loss: 0.004, Stripes: 4, Bytes: 12_300_000},
		}, {ID: "iad", Parent: "oslo", Students: 2}, {ID: "fra"}},
	})
	want := `Room algebra is live at fra (epoch 7); 3 students.
  iad  2 students, carries nothing
  fra  0 students, carries nothing
    sin  1 student, carries nothing  [49 ms, 0.4 % lost, 4 stripes, 12.3 MB, 1m30s old]  standby iad
      tier 2, because iad is the hub of us for this room
`
	if b.String() != want {
		t.Errorf("got:\n%swant:\n%s", b.String(), want)
	}
}

func TestRoutesAreToldInWords(t *testing.T) {
	got := routesText(node.RouteList{Routes: []node.Route{
		{From: "ap", To: "eu", RTT: 160.4, Loss: 0.061, Via: "in"}, {From: "ap", To: "in", RTT: 80}, {From: "eu", To: "ap", Via: "in"},
	}})
	want := `from ap to eu through in, the direct way takes 160 ms there and back and loses 6.1 %
from ap to in directly, the direct way takes 80 ms there and back
from eu to ap through in, the direct way is not measured now
`
	if got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
	if got := routesText(node.RouteList{}); !strings.Contains(got, "tracks go directly") {
		t.Errorf("a mesh of one region: %q", got)
	}
}

func TestArgumentsAreAskedForByName(t *testing.T) {
	for args, want := range map[string]string{
		"watch":             "URL is missing, as in: lyceum watch URL --token T",
		"pki issue secrets": "NODE is missing, as in: lyceum pki issue DIR NODE",
		"tree a b":          `"b" is one argument too many for: lyceum tree ROOM`,
		"room shut":         `there is no command "shut" below "lyceum room"; there is close, list, open, show`,
		"up --jason":        "unknown flag: --jason; lyceum up --help lists the flags",
		"chek":              `unknown command "chek" for "lyceum"`,
		"token --cluster c --keys k --room r --for 48h":    "at most 24h0m0s",
		"serve --seats=many --node=a --cluster=b":          "seats",
		"token --cluster c --keys missing.pem --room demo": "missing.pem",
	} {
		t.Run(args, func(t *testing.T) {
			root := newRoot()
			root.SetArgs(strings.Fields(args))
			if err := root.Execute(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
		})
	}
}
