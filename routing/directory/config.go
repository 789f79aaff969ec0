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
	// Voters are the ids of the nodes that found the directory when most of them meet for the first time, the same on all
	// nodes. Once it is founded, who votes is what the directory itself has: others join and the dead are replaced. Empty
	// lets the nodes with Expect find one another.
	Voters []string
	// Expect is how many nodes with the same Expect have to find one another to found the directory; those that come later
	// join it. 0 means that this node founds nothing and, unless it is among Voters or has a log from before, only watches.
	Expect int
	// Peers are the other nodes as gossip has them; nil hears of nobody but Voters.
	Peers func() []Peer
	// Stable is how long a node that joins must keep up before it votes; 0 means 10 s.
	Stable time.Duration
	// Forget is how long a voter must be gone before another may take its place for good; 0 means 24 h, and a machine under
	// repair keeps its vote for a day.
	Forget time.Duration
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

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = time.Second
	}
	if c.CallTimeout == 0 {
		c.CallTimeout = 3 * time.Second
	}
	if c.Stable == 0 {
		c.Stable = 10 * time.Second
	}
	if c.Forget == 0 {
		c.Forget = 24 * time.Hour
	}
	c.Voters = slices.Clone(c.Voters)
	return c
}

// Peer is what gossip says of another node.
type Peer struct {
	ID string
	// Serves means that the node takes part in the directory, or wants to.
	Serves bool
	// Alive is false for a node that is known and does not answer.
	Alive bool
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
	case len(voters) == 0 && c.Expect == 0 && c.Peers == nil:
		return errors.New("at least one node must vote")
	case c.Expect < 0 || c.Expect > maxVoters:
		return fmt.Errorf("%d nodes cannot be expected to found a directory; three or five are enough", c.Expect)
	case len(voters) != len(c.Voters):
		return errors.New("a node is named twice among the voters")
	case len(voters) > maxVoters:
		return fmt.Errorf("%d voters are too many, three or five are enough", len(voters))
	}
	switch {
	case c.Dir == "":
		return errors.New("a folder is required to keep the state in")
	case c.Calls == nil || c.Raft == nil && c.serves():
		return errors.New("streams to the other nodes are required")
	case c.Heartbeat < 0 || c.CallTimeout < 0 || c.Stable < 0 || c.Forget < 0:
		return errors.New("no time may be negative")
	}
	return nil
}

// founds tells whether this node is one of a fixed list.
func (c *Config) founds() bool { return slices.Contains(c.Voters, c.Node) }

// serves tells whether this node takes part in Raft: it is meant to, or it did before.
func (c *Config) serves() bool { return c.founds() || c.Expect > 0 || hasLog(c.Dir) }

func sortedStrings(list []string) []string { return slices.Sorted(slices.Values(list)) }
