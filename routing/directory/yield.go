package directory

import (
	"fmt"

	"github.com/hashicorp/raft"
)

// Yield gives the lead to another voter, if this node has it and there is another. It takes up to an election's time, and
// the others may choose this node again.
func (d *Directory) Yield() error {
	r := d.raft.Load()
	if r == nil || r.State() != raft.Leader || len(d.voters()) < 2 {
		return nil
	}
	if err := r.LeadershipTransfer().Error(); err != nil {
		return fmt.Errorf("give the lead of the directory to another voter: %w", err)
	}
	return nil
}
