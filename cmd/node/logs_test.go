package node

import "testing"

func TestPeerConnectionsShareTheirLoggers(t *testing.T) {
	l := newPeerLogs()
	if a, b := l.NewLogger("ice"), l.NewLogger("ice"); a != b {
		t.Error("a scope has two loggers")
	}
	if a, b := l.NewLogger("ice"), l.NewLogger("dtls"); a == b {
		t.Error("two scopes share a logger")
	}
}
