package fan

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lyceum/cmd/node"
	"lyceum/mesh/pki"
	"lyceum/routing/ticket"
)

const (
	nodeName = "fan"
	room     = "fan"
)

// newNode makes a whole Lyceum node: an origin and an edge with a directory of its own, alone in its mesh.
func newNode(b Begin) (run func(context.Context) error, doors Doors, err error) {
	in := func(name string) string { return filepath.Join(b.Dir, name) }
	keys, err := writeSecrets(in)
	if err != nil {
		return nil, doors, err
	}
	ports, err := freePorts(5)
	if err != nil {
		return nil, doors, err
	}
	at := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	cfg := node.Config{
		Node: nodeName, Cluster: nodeName, Region: nodeName, Data: in("data"), Seats: 100_000,
		HTTP: node.HTTP{Listen: at(0)}, Admin: node.Admin{Listen: at(1)},
		WebRTC: node.WebRTC{Listen: net.JoinHostPort(b.Address, fmt.Sprint(ports[2]))},
		Mesh:   node.Mesh{Listen: at(3)}, Gossip: node.Gossip{Listen: at(4), Key: in("gossip.key")},
		PKI:    node.PKI{Authority: in("ca.pem"), Certificate: in("node.pem"), Key: in("node.key")},
		Tokens: node.Tokens{Keys: in("tokens.pem")},
	}.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, doors, err
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, doors, fmt.Errorf("make the node's folder: %w", err)
	}
	sockets, err := node.OpenSockets(cfg)
	if err != nil {
		return nil, doors, err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	node.SpareMemory() // as lyceum serve does
	n, err := node.New(cfg, sockets, node.Deps{Logger: log, Version: "load"})
	if err != nil {
		return nil, doors, err
	}
	doors = Doors{
		WHIP: cfg.HTTP.URL + "/whip/" + room, WHEP: cfg.HTTP.URL + "/whep/" + room, Admin: "http://" + cfg.Admin.Listen,
	}
	for role, token := range map[ticket.Role]*string{ticket.Teacher: &doors.TeacherToken, ticket.Student: &doors.Students} {
		*token, err = keys.SignToken(ticket.Token{
			Subject: string(role), Room: room, Role: role, Expires: time.Now().Add(12 * time.Hour),
		})
		if err != nil {
			return nil, doors, err
		}
	}
	return n.Run, doors, nil
}

// writeSecrets makes all that a cluster of one node needs.
func writeSecrets(in func(string) string) (*ticket.Keys, error) {
	a, err := pki.NewAuthority(nodeName, 24*time.Hour)
	if err != nil {
		return nil, err
	}
	ca, _ := a.PEM()
	cert, key, err := a.Issue(nodeName, 24*time.Hour)
	if err != nil {
		return nil, err
	}
	tokens, err := ticket.GenerateKey()
	if err != nil {
		return nil, err
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	err = errors.Join(
		os.WriteFile(in("ca.pem"), ca, 0o600), os.WriteFile(in("node.pem"), cert, 0o600), os.WriteFile(in("node.key"), key, 0o600),
		os.WriteFile(in("tokens.pem"), tokens, 0o600),
		os.WriteFile(in("gossip.key"), []byte(base64.StdEncoding.EncodeToString(secret)), 0o600),
	)
	if err != nil {
		return nil, err
	}
	return ticket.ParseKeys(nodeName, tokens)
}

// freePorts finds ports that are free for TCP and for UDP on loopback.
func freePorts(n int) (ports []int, err error) {
	for len(ports) < n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close()
		port := l.Addr().(*net.TCPAddr).Port
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			continue // taken for UDP
		}
		defer c.Close()
		ports = append(ports, port)
	}
	return ports, nil
}

// openRoom opens the room as soon as the node can, and waits until it is open.
func openRoom(ctx context.Context, admin string, failed <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := post(ctx, admin+"/v1/rooms", fmt.Sprintf(`{"name":%q}`, room))
		if err == nil {
			return nil
		}
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("open the room: %w", err)
		case <-again.C:
		}
	}
}

func post(ctx context.Context, url, body string) error {
	rq, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	rsp, err := http.DefaultClient.Do(rq)
	if err != nil {
		return err
	}
	defer rsp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(rsp.Body, 1<<10)) // only for the error
	if rsp.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s: %s", url, rsp.Status, text)
	}
	return nil
}
