package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

const goodYAML = `
node: fra-1
cluster: uni
region: eu
data: /tmp/data
http: {listen: "127.0.0.1:8080"}
mesh: {advertise: "192.0.2.1:7703"}
gossip: {advertise: "192.0.2.1:7704", key: gossip.key, seeds: [a.example:7704, b.example:7704]}
pki: {authority: ca.pem, certificate: n.pem, key: n.key}
tokens: {keys: tokens.pem}
geo:
  campuses:
    - name: north
      prefixes: [192.0.2.0/24]
      place: {latitude: 1, longitude: 2}
`

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLaterSettingsWin(t *testing.T) {
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	configFlags(flags)
	if err := flags.Parse([]string{"--region=flagged", "--gossip.seeds=c.example:1,d.example:2"}); err != nil {
		t.Fatal(err)
	}
	cfg, err := load(write(t, goodYAML), []string{"LYCEUM_REGION=env", "LYCEUM_SEATS=7", "LYCEUM_PLACE_LATITUDE=12.5", "HOME=/"}, flags)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Region != "flagged" || cfg.Seats != 7 || cfg.Place.Latitude != 12.5 || cfg.Node != "fra-1" {
		t.Errorf("region %q, seats %d, latitude %v, node %q", cfg.Region, cfg.Seats, cfg.Place.Latitude, cfg.Node)
	}
	if len(cfg.Gossip.Seeds) != 2 || cfg.Gossip.Seeds[1] != "d.example:2" {
		t.Errorf("seeds %v", cfg.Gossip.Seeds)
	}
	if len(cfg.Geo.Campuses) != 1 || cfg.Geo.Campuses[0].Place.Longitude != 2 {
		t.Errorf("campuses %+v", cfg.Geo.Campuses)
	}
}

func TestUnknownKeysNameTheNearest(t *testing.T) {
	for name, c := range map[string]struct{ text, env, want string }{
		"top level":   {goodYAML + "\nregoin: eu\n", "", "key regoin does not exist; the nearest is region"},
		"nested":      {strings.Replace(goodYAML, "http: {listen", "http: {lisen", 1), "", "key http.lisen does not exist; the nearest is http.listen"},
		"in a list":   {strings.Replace(goodYAML, "prefixes:", "prefix:", 1), "", "key geo.campuses[0].prefix does not exist; the nearest is geo.campuses[0].prefixes"},
		"environment": {goodYAML, "LYCEUM_HTTP_LISTN=x", "environment variable LYCEUM_HTTP_LISTN does not exist; the nearest is LYCEUM_HTTP_LISTEN"},
		"no section":  {strings.Replace(goodYAML, `http: {listen: "127.0.0.1:8080"}`, "http: here", 1), "", "key http has a value where keys of its own belong"},
		"broken":      {"node: [", "", "node.yaml"},
		"wrong type":  {goodYAML + "\nseats: many\n", "", "seats"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(write(t, c.text), []string{c.env}, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	if _, err := load("missing.yaml", nil, nil); err == nil || !strings.Contains(err.Error(), "missing.yaml") {
		t.Errorf("error %v, want the missing file's name", err)
	}
}

func TestLongFlags(t *testing.T) {
	got := strings.Join(longFlags([]string{"serve", "-config", "f.yaml", "-http.listen=:1", "-n", "5", "-n5", "--json", "--", "-config"}), " ")
	want := "serve --config f.yaml --http.listen=:1 -n 5 -n5 --json -- -config"
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestExampleConfigurationIsValid(t *testing.T) {
	cfg, err := load("../../deploy/node.yaml", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Seats != 2000 || len(cfg.Geo.Campuses) != 1 {
		t.Errorf("configuration %+v", cfg)
	}
}
