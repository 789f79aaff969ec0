package node

import (
	"strings"
	"testing"
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
		"roles":                    func(c *Config) { c.Roles = []string{"edgy"} },
		"http.listen":              func(c *Config) { c.HTTP.Listen = "8080" },
		"http.url":                 func(c *Config) { c.HTTP.URL = "class.example" },
		"http.certificate":         func(c *Config) { c.HTTP.Listen = "0.0.0.0:80" },
		"http.key":                 func(c *Config) { c.HTTP.Certificate = "c.pem" },
		"http.proxies":             func(c *Config) { c.HTTP.Proxies = []string{"10.0.0.1"} },
		"mesh.advertise":           func(c *Config) { c.Mesh.Advertise = "" },
		"mesh.stripes":             func(c *Config) { c.Mesh.Stripes = 1 },
		"directory.voters":         func(c *Config) { c.Directory.Voters = []string{"a", "b"} },
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
