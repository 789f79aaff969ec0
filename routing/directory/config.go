package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Streams are the connections to other nodes of the cluster, one protocol's share of them. Whoever makes them has
// verified who is at the other end.
type Streams interface {
	// Dial opens a stream to a node.
	Dial(ctx context.Context, node string) (net.Conn, error)
	// Accept waits for a stream from another node. It fails once Close has been called.
	Accept() (net.Conn, error)
	// Close ends accepting.
	Close() error
}

// Config configures a Directory.
type Config struct {
	// Node is the id of this node.
	Node string
	// Cluster is the id of the cluster, written into Dir so that no other cluster's state is taken for this one's; ""
	// means not to check.
	Cluster string
	// Dir is where the directory keeps its state. It is made if it does not exist.
	Dir string
	// Voters are the ids of the nodes that agree, the same on all nodes. This node votes if it is among them. They
	// found the cluster when they meet for the first time; what is changed here later does not change who votes.
	Voters []string
	// Raft carries the voters' agreement. Unused on a node that does not vote.
	Raft Streams
	// Calls carries commands to the leader, and the rooms to the nodes that do not vote.
	Calls Streams
	// Heartbeat is how long a voter hears nothing of the leader before it wants another; 0 means 1 s. It should be ten
	// times the longest round trip between voters.
	Heartbeat time.Duration
	// CallTimeout bounds one attempt to have the leader carry out a command; 0 means 3 s.
	CallTimeout time.Duration
	// Logger is for changes of state; nil discards.
	Logger *slog.Logger
	// Registerer takes the metrics; nil means none are kept.
	Registerer prometheus.Registerer
}

// maxVoters is more than can agree quickly.
const maxVoters = 9

var validID = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)

// Validate tells in the operator's words what is wrong with a configuration.
func (c *Config) Validate() error {
	for _, id := range append([]string{c.Node}, c.Voters...) {
		if !validID.MatchString(id) {
			return fmt.Errorf("node id %q must be 1 to 63 of the characters a-z, 0-9 and '-'", id)
		}
	}
	switch voters := slices.Compact(slices.Sorted(slices.Values(c.Voters))); {
	case len(voters) == 0:
		return errors.New("at least one node must vote")
	case len(voters) != len(c.Voters):
		return errors.New("a node is named twice among the voters")
	case len(voters) > maxVoters:
		return fmt.Errorf("%d voters are too many, three or five are enough", len(voters))
	}
	switch {
	case c.Dir == "":
		return errors.New("a folder is required to keep the state in")
	case c.Calls == nil || c.Raft == nil && c.votes():
		return errors.New("streams to the other nodes are required")
	case c.Heartbeat < 0 || c.CallTimeout < 0:
		return errors.New("no time may be negative")
	}
	return nil
}

func (c *Config) votes() bool { return slices.Contains(c.Voters, c.Node) }

func sortedStrings(list []string) []string { return slices.Sorted(slices.Values(list)) }
