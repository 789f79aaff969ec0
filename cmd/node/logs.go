package node

import (
	"sync"

	"github.com/pion/logging"
)

// peerLogs gives all peer connections one logger for each of pion's scopes. Left to themselves they make some thirty each, 12 kB
// of memory for a student.
type peerLogs struct {
	base *logging.DefaultLoggerFactory

	mu sync.Mutex
	// Guarded by mu.
	made map[string]logging.LeveledLogger
}

func newPeerLogs() *peerLogs {
	return &peerLogs{base: logging.NewDefaultLoggerFactory(), made: map[string]logging.LeveledLogger{}}
}

// NewLogger returns the logger of a scope.
func (p *peerLogs) NewLogger(scope string) logging.LeveledLogger {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.made[scope]
	if !ok {
		l = p.base.NewLogger(scope)
		p.made[scope] = l
	}
	return l
}
