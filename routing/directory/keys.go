package directory

import (
	"context"
	"errors"
	"fmt"
)

// Keyring is the cluster's gossip keys. It is agreed like the rooms are, kept in the same files (which only this node's
// user may read) and sent over links only; it is in no backup, no log line and no status.
type Keyring struct {
	// Version is the index of its last change; 0 for a ring that was never set, which leaves each node to its own file.
	Version uint64 `json:"version"`
	// Keys are those that are understood; the first one is used. Each has 32 bytes.
	Keys [][]byte `json:"keys"`
	// Retired are the ids of keys that were removed, the last ones, as whoever removed them names keys.
	Retired []string `json:"retired,omitempty"`
}

// The bounds of a keyring.
const (
	maxKeys    = 8
	keyBytes   = 32
	maxRetired = 16
)

func (k *Keyring) check() error {
	switch {
	case len(k.Keys) == 0 || len(k.Keys) > maxKeys:
		return fmt.Errorf("a keyring has 1 to %d keys, not %d", maxKeys, len(k.Keys))
	case len(k.Retired) > maxRetired:
		return fmt.Errorf("a keyring remembers %d retired keys at most", maxRetired)
	}
	for _, key := range k.Keys {
		if len(key) != keyBytes {
			return errors.New("a gossip key has 32 bytes")
		}
	}
	for _, id := range k.Retired {
		if err := checkText("id of a retired key", id, 1, maxNode); err != nil {
			return err
		}
	}
	return nil
}

// Keys is the keyring as this node knows it. The caller must not change it.
func (d *Directory) Keys() Keyring { return d.view.keyring() }

// SetKeys replaces the keyring, if its version is still that of k, and fails with ErrStaleKeys if it is not. The ids of the
// oldest retired keys are dropped beyond 16.
func (d *Directory) SetKeys(ctx context.Context, k Keyring) error {
	if n := len(k.Retired) - maxRetired; n > 0 {
		k.Retired = k.Retired[n:]
	}
	res, err := d.result(ctx, command{Op: opKeys, Keys: &k, Previous: k.Version})
	if err == nil {
		err = res.err()
	}
	if errors.Is(err, ErrStale) {
		err = ErrStaleKeys
	}
	if err != nil {
		return fmt.Errorf("change the gossip keys: %w", err)
	}
	return nil
}
