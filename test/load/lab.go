package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"lyceum/cmd/client"
)

// The ports of every node; hosts have addresses of their own.
const (
	portHTTP   = 8443
	portWebRTC = 7702
	portMesh   = 7703
	portGossip = 7704

	room = "laboratory"
)

// lab holds a class on the hosts of a Wan.
type lab struct {
	// Set by Wan.run and prepare, then never changed.
	wan     *Wan
	dir     string
	binary  string
	nodes   []string          // the names
	regions map[string]string // of the nodes
	hosts   map[string]*host  // the nodes' and those of people
	router  *router
	out     io.Writer

	running sync.WaitGroup  // programs that run until the class ends
	serving context.Context // ends with the class; set by fail, for nodes that are started again

	mu sync.Mutex
	// Guarded by mu.
	processes map[string]*os.Process // of the nodes and of the teacher, by host
}

func (l *lab) file(name string) string { return filepath.Join(l.dir, name) }

// class starts the nodes, the teacher and the students, obeys commands, and prints what the students measured.
func (l *lab) class(ctx context.Context, in io.Reader) (err error) {
	return l.teach(ctx, func(serving context.Context, student string) error {
		go l.commands(serving, in) // a read of standard input ends with this process at the latest
		first := l.nodes[0]
		tree := l.hosts[first].command(ctx, l.binary, "tree", room)
		return l.attend(ctx, student, func() {
			if pause(ctx, l.wan.For*3/4) == nil {
				if text, err := output(tree); err == nil {
					fmt.Fprintln(l.out, text)
				}
			}
		})
	})
}

// teach starts the nodes and the teacher, and ends them after a story, which is given a student's token.
func (l *lab) teach(ctx context.Context, story func(serving context.Context, student string) error) (err error) {
	if err := l.prepare(ctx); err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	defer l.running.Wait()
	defer stop()
	for _, name := range l.nodes {
		if err := l.serve(serving, name); err != nil {
			return err
		}
	}
	first := l.nodes[0]
	if err := l.open(ctx, first); err != nil {
		return err
	}
	teacher, err := l.token(ctx, "teacher")
	if err != nil {
		return err
	}
	student, err := l.token(ctx, "student")
	if err != nil {
		return err
	}
	err = l.start(serving, l.hosts[teacherHost], teacherHost, l.binary, "publish", l.url(first, "whip"), "--token", teacher)
	if err != nil {
		return err
	}
	fmt.Fprintf(l.out, "class of %v with %d students at each of %s; between nodes %s\n\n", l.wan.For, l.wan.Students,
		strings.Join(l.nodes, ", "), strings.Join(l.wan.Between, " "))
	return story(serving, student)
}

// attend lets the students watch while something happens, and prints what they measured.
func (l *lab) attend(ctx context.Context, token string, meanwhile func()) error {
	reports := make([]client.Report, len(l.nodes))
	errs := make([]error, len(l.nodes))
	var watching sync.WaitGroup
	for i, name := range l.nodes {
		watching.Go(func() {
			errs[i] = l.watch(ctx, &reports[i], l.url(name, "whep"), token)
		})
	}
	meanwhile()
	watching.Wait()
	if ctx.Err() != nil {
		return errors.New("interrupted; the laboratory is taken down")
	}
	l.table(reports)
	return errors.Join(errs...)
}

// serve starts a node, or starts it again.
func (l *lab) serve(ctx context.Context, name string) error {
	binary := l.binary
	if l.wan.Other != "" && slices.Index(l.nodes, name)%2 == 1 {
		binary = l.wan.Other
	}
	return l.start(ctx, l.hosts[name], name, binary, "serve", "--config", l.file(name+".yaml"))
}

// prepare makes secrets and configurations.
func (l *lab) prepare(ctx context.Context) error {
	l.binary = l.wan.Binary
	if l.binary == "" {
		l.binary = l.file("lyceum")
		if err := run(ctx, "go", "build", "-o", l.binary, "lyceum/cmd/lyceum"); err != nil {
			return err
		}
	}
	if err := run(ctx, l.binary, "pki", "init", l.file("pki"), "--cluster", cluster); err != nil {
		return err
	}
	if err := l.writeHTTPS(); err != nil {
		return err
	}
	for _, name := range l.nodes {
		if err := run(ctx, l.binary, "pki", "issue", l.file("pki"), name); err != nil {
			return err
		}
		if err := l.writeConfig(name); err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) at(name string, port int) string {
	return net.JoinHostPort(l.hosts[name].port.addr.String(), strconv.Itoa(port))
}

func (l *lab) url(name, door string) string {
	return "https://" + l.at(name, portHTTP) + "/" + door + "/" + room
}

func (l *lab) writeConfig(name string) error {
	voters := l.nodes
	if n := min(len(voters), 5); n%2 == 0 {
		voters = voters[:n-1]
	} else {
		voters = voters[:n]
	}
	var seeds []string
	for _, n := range l.nodes {
		seeds = append(seeds, l.at(n, portGossip))
	}
	secret := func(f string) string { return filepath.Join(l.dir, "pki", f) }
	mesh := map[string]any{"listen": l.at(name, portMesh)}
	if l.wan.Stripes > 0 {
		mesh["stripes"] = l.wan.Stripes
	}
	text, err := yaml.Marshal(map[string]any{
		"node": name, "cluster": cluster, "region": l.regions[name], "data": l.file("data-" + name),
		"http": map[string]any{
			"listen": l.at(name, portHTTP), "certificate": l.file("https.pem"), "key": l.file("https.key"),
		},
		"webrtc":    map[string]any{"listen": l.at(name, portWebRTC)},
		"mesh":      mesh,
		"gossip":    map[string]any{"listen": l.at(name, portGossip), "key": secret("gossip.key"), "seeds": seeds},
		"directory": map[string]any{"voters": voters},
		"tokens":    map[string]any{"keys": secret("tokens.pem")},
		"pki": map[string]any{
			"authority": secret("ca.pem"), "certificate": secret(name + ".pem"), "key": secret(name + ".key"),
		},
	})
	if err != nil {
		return fmt.Errorf("write the configuration of %s: %w", name, err)
	}
	return os.WriteFile(l.file(name+".yaml"), text, 0o600)
}

// writeHTTPS makes one certificate for the addresses of all nodes. It is its own authority.
func (l *lab) writeHTTPS() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key for HTTPS: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: cluster}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range l.hosts {
		template.IPAddresses = append(template.IPAddresses, net.IP(netip.Addr.AsSlice(h.port.addr)))
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make a certificate for HTTPS: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode the key for HTTPS: %w", err)
	}
	return errors.Join(
		os.WriteFile(l.file("https.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600),
		os.WriteFile(l.file("https.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600),
	)
}

// start runs lyceum on a host until ctx is done. It writes to a log of its own.
func (l *lab) start(ctx context.Context, h *host, name, binary string, words ...string) error {
	log, err := os.OpenFile(l.file(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make a log: %w", err)
	}
	cmd := h.command(ctx, append([]string{binary}, words...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = l.environment()
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start lyceum %s on %s: %w", words[0], name, err), log.Close())
	}
	l.mu.Lock()
	l.processes[name] = cmd.Process
	l.mu.Unlock()
	l.running.Go(func() {
		if err := cmd.Wait(); err != nil && ctx.Err() == nil {
			text, _ := os.ReadFile(l.file(name + ".log"))
			fmt.Fprintf(l.out, "lyceum %s on %s ended: %v\n%s\n", words[0], name, err, lastLines(text, 5))
		}
		_ = log.Close()
	})
	return nil
}

// environment makes clients trust the nodes' certificate.
func (l *lab) environment() []string {
	return append(os.Environ(), "SSL_CERT_FILE="+l.file("https.pem"))
}

func lastLines(text []byte, n int) []byte {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-n):], []byte("\n"))
}

// open opens the room as soon as the nodes have agreed on a leader.
func (l *lab) open(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		_, err := output(l.hosts[name].command(ctx, l.binary, "room", "open", room))
		if err == nil {
			return pause(ctx, time.Second) // until the others have heard of it
		}
		if pause(ctx, 500*time.Millisecond) != nil {
			return fmt.Errorf("the nodes do not open a room: %w", err)
		}
	}
}

func (l *lab) token(ctx context.Context, role string) (string, error) {
	text, err := output(exec.CommandContext(ctx, l.binary, "token", "--cluster", cluster, "--keys",
		filepath.Join(l.dir, "pki", "tokens.pem"), "--room", room, "--role", role))
	return strings.TrimSpace(text), err
}

func (l *lab) watch(ctx context.Context, r *client.Report, url, token string) error {
	cmd := l.hosts[studentsHost].command(ctx, l.binary, "watch", url, "--token", token, "-n", strconv.Itoa(l.wan.Students),
		"--for", l.wan.For.String(), "--json")
	cmd.Env = l.environment()
	text, err := output(cmd)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), r); err != nil {
		return fmt.Errorf("read the report of the students at %s: %w", url, err)
	}
	return nil
}

// table prints what the students measured.
func (l *lab) table(reports []client.Report) {
	fmt.Fprint(l.out, "| asked at | joined | packets | lost | one-way p50 | p95 | p99 | first keyframe p50 | longest gap | reconnects |\n"+
		"|---|---|---|---|---|---|---|---|---|---|\n")
	for i, r := range reports {
		fmt.Fprintf(l.out, "| %s | %d of %d | %d | %d | %.0f | %.0f | %.0f | %.0f | %.0f | %d |\n", l.nodes[i], r.Joined, r.Students,
			r.Packets, r.Lost, r.Latency.P50, r.Latency.P95, r.Latency.P99, r.FirstKeyframe.P50, r.LongestGap, r.Reconnects)
		for reason, n := range r.Failures {
			fmt.Fprintf(l.out, "%d failed: %s\n", n, reason)
		}
	}
	fmt.Fprintln(l.out)
}
