package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// site is one node of the mesh that lyceum up starts.
type site struct {
	ID, Region, City    string
	Latitude, Longitude float64
}

var sites = []site{
	{"frankfurt", "eu-central", "Frankfurt", 50.11, 8.68},
	{"singapore", "ap-southeast", "Singapore", 1.35, 103.82},
	{"virginia", "us-east", "Ashburn", 39.04, -77.49},
}

// The ports of site i are a block of ten that starts at base + 10 i.
const (
	portHTTP = iota
	portAdmin
	portWebRTC
	portMesh
	portGossip
	portBlock  = 10
	basePort   = 7700
	baseStride = 100
)

const (
	localCluster = "local"
	localhost    = "127.0.0.1"
)

// localMesh is a cluster of nodes on loopback, but for their media.
type localMesh struct {
	dir   string
	base  int
	media string // the address for WebRTC
}

func (m localMesh) addr(i, port int) string {
	host := localhost
	if port == portWebRTC {
		host = m.media
	}
	return net.JoinHostPort(host, strconv.Itoa(m.base+i*portBlock+port))
}

func (m localMesh) url(i int) string       { return "http://" + m.addr(i, portHTTP) }
func (m localMesh) admin(i int) string     { return "http://" + m.addr(i, portAdmin) }
func (m localMesh) config(i int) string    { return filepath.Join(m.dir, sites[i].ID+".yaml") }
func (m localMesh) secrets() string        { return filepath.Join(m.dir, "pki") }
func (m localMesh) tokenKeys() string      { return filepath.Join(m.secrets(), tokenKeys) }
func (m localMesh) data(i int) string      { return filepath.Join(m.dir, "data", sites[i].ID) }
func (m localMesh) secret(f string) string { return filepath.Join(m.secrets(), f) }

// newLocalMesh makes the configuration and, unless dir has them from before, the secrets of a mesh in dir. With base 0
// it takes the first blocks of ports that are free. Media is the address for WebRTC.
func newLocalMesh(dir string, base int, media string) (localMesh, error) {
	m := localMesh{dir: dir, base: base, media: media}
	a, err := netip.ParseAddr(media)
	if err != nil {
		return m, fmt.Errorf("--media must be an address: %w", err)
	}
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
	if err != nil {
		return m, fmt.Errorf("--media must be an address of this machine: %w", err)
	}
	_ = c.Close()
	if base == 0 {
		m.base = basePort
		for m.free() != nil && m.base < basePort+40*baseStride {
			m.base += baseStride
		}
	}
	if err := m.free(); err != nil {
		return m, fmt.Errorf("%w; end the program that uses it, or choose other ports with --port", err)
	}
	if _, err := os.Stat(m.secret(authorityCert)); err != nil {
		if err := initPKI(m.secrets(), localCluster); err != nil {
			return m, err
		}
		for _, s := range sites {
			if err := issuePKI(m.secrets(), s.ID, 0); err != nil {
				return m, err
			}
		}
	}
	for i := range sites {
		if err := m.writeConfig(i); err != nil {
			return m, err
		}
	}
	return m, nil
}

// free returns an error that names the first port of the mesh that is in use.
func (m localMesh) free() error {
	for i := range sites {
		for _, p := range []int{portHTTP, portAdmin, portGossip} {
			l, err := net.Listen("tcp", m.addr(i, p))
			if err != nil {
				return fmt.Errorf("port %s is in use", m.addr(i, p))
			}
			_ = l.Close()
		}
		for _, p := range []int{portWebRTC, portMesh, portGossip} {
			c, err := net.ListenPacket("udp", m.addr(i, p))
			if err != nil {
				return fmt.Errorf("UDP port %s is in use", m.addr(i, p))
			}
			_ = c.Close()
		}
	}
	return nil
}

func (m localMesh) writeConfig(i int) error {
	s := sites[i]
	var seeds []string
	for j := range sites {
		seeds = append(seeds, m.addr(j, portGossip))
	}
	text, err := yaml.Marshal(map[string]any{
		"node": s.ID, "cluster": localCluster, "region": s.Region, "data": m.data(i),
		"place":     map[string]any{"name": s.City, "latitude": s.Latitude, "longitude": s.Longitude},
		"http":      map[string]any{"listen": m.addr(i, portHTTP), "proxies": []string{localhost + "/32"}},
		"admin":     map[string]any{"listen": m.addr(i, portAdmin)},
		"webrtc":    map[string]any{"listen": m.addr(i, portWebRTC)},
		"mesh":      map[string]any{"listen": m.addr(i, portMesh)},
		"gossip":    map[string]any{"listen": m.addr(i, portGossip), "key": m.secret(gossipKey), "seeds": seeds},
		"directory": map[string]any{"expect": len(sites)},
		"tokens":    map[string]any{"keys": m.tokenKeys()},
		"pki": map[string]any{
			"authority": m.secret(authorityCert), "certificate": m.secret(s.ID + ".pem"), "key": m.secret(s.ID + ".key"),
		},
	})
	if err != nil {
		return fmt.Errorf("write the configuration of %s: %w", s.ID, err)
	}
	if err := os.WriteFile(m.config(i), text, 0o600); err != nil {
		return fmt.Errorf("write the configuration of %s: %w", s.ID, err)
	}
	return nil
}
