package node

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"lyceum/routing/ticket"
	"lyceum/routing/wish"
)

func good() Config {
	return Config{
		Node: "fra-1", Cluster: "uni", Region: "eu", Data: "data",
		HTTP:   HTTP{Listen: "127.0.0.1:8080"},
		Mesh:   Mesh{Advertise: "192.0.2.1:7703"},
		Gossip: Gossip{Advertise: "192.0.2.1:7704", Key: "gossip.key"},
		PKI:    PKI{Authority: "ca.pem", Certificate: "n.pem", Key: "n.key"},
		Tokens: Tokens{Keys: "tokens.pem"},
	}
}

func TestDefaultsMakeAValidConfig(t *testing.T) {
	if err := good().WithDefaults().Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestValidateNamesTheKey(t *testing.T) {
	for key, change := range map[string]func(*Config){
		"node":                     func(c *Config) { c.Node = "Fra 1" },
		"cluster":                  func(c *Config) { c.Cluster = "" },
		"region":                   func(c *Config) { c.Region = "" },
		"data":                     func(c *Config) { c.Data = "" },
		"place.latitude":           func(c *Config) { c.Place.Latitude = 91 },
		"roles":                    func(c *Config) { c.Roles = []string{"hub", "edgy"} },
		"http.listen":              func(c *Config) { c.HTTP.Listen = "8080" },
		"http.url":                 func(c *Config) { c.HTTP.URL = "class.example" },
		"http.certificate":         func(c *Config) { c.HTTP.Listen = "0.0.0.0:80" },
		"http.key":                 func(c *Config) { c.HTTP.Certificate = "c.pem" },
		"http.proxies":             func(c *Config) { c.HTTP.Proxies = []string{"10.0.0.1"} },
		"mesh.advertise":           func(c *Config) { c.Mesh.Advertise = "" },
		"mesh.stripes":             func(c *Config) { c.Mesh.Stripes = 1 },
		"directory.voters":         func(c *Config) { c.Directory.Voters = []string{"a", "b"} },
		"directory.expect":         func(c *Config) { c.Directory.Expect, c.Directory.Voters = 3, nil },
		"pki.authority":            func(c *Config) { c.PKI.Authority = "" },
		"gossip.key":               func(c *Config) { c.Gossip.Key = "" },
		"tokens.keys":              func(c *Config) { c.Tokens.Keys = "" },
		"geo.campuses[0].prefixes": func(c *Config) { c.Geo.Campuses = []Campus{{Name: "north", Prefixes: []string{"x"}}} },
		"log.level":                func(c *Config) { c.Log.Level = "loud" },
	} {
		t.Run(key, func(t *testing.T) {
			c := good()
			change(&c)
			err := c.WithDefaults().Validate()
			if err == nil || !strings.Contains(err.Error(), key+": ") {
				t.Errorf("error %v, want one that names %s", err, key)
			}
		})
	}
}

func TestRolesAreThoseOfTheConfig(t *testing.T) {
	for want, names := range map[string][]string{
		"origin,edge,voter": nil,
		"hub,voter":         {"hub"},
		"edge,hub,voter":    {"hub", "edge"},
	} {
		c := good()
		c.Roles = names
		c = c.WithDefaults()
		if err := c.Validate(); err != nil {
			t.Errorf("roles %v: %v", names, err)
		}
		if got := (&Node{cfg: c}).roles(true).String(); got != want {
			t.Errorf("roles %v are advertised as %q, want %q", names, got, want)
		}
	}
}

func TestClosedDoorsTakeNoTickets(t *testing.T) {
	for _, action := range []ticket.Action{ticket.Publish, ticket.Watch} {
		c := good()
		c.Roles = []string{"hub"}
		_, err := (&Node{cfg: c}).redeem(action)("algebra", "any")
		if e, ok := errors.AsType[*wish.Error](err); !ok || e.Status != http.StatusForbidden {
			t.Errorf("a hub answers %v to a ticket to %v", err, action)
		}
	}
}
