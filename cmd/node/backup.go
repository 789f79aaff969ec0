package node

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"lyceum/routing/directory"
	"lyceum/routing/wish"
)

// restoreTime bounds a restore: 100 commands a second, of 20 rooms each, are slow.
const restoreTime = 50 * time.Second

// maxBackup bounds what is read of a backup: 100,000 rooms with long titles.
const maxBackup = 64 << 20

// snapshot answers with a backup of the rooms. It is as new as the leader's, if there is a leader; the header
// Lyceum-Consistent tells.
func (n *Node) snapshot(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	consistent := n.rooms.Sync(ctx) == nil
	var b bytes.Buffer
	if _, err := n.rooms.Backup(&b); err != nil {
		wish.WriteError(w, adminError(err))
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Lyceum-Consistent", fmt.Sprint(consistent))
	_, _ = w.Write(b.Bytes()) // the caller may be gone
}

// RestoreReport is the answer to POST /v1/directory/restore.
type RestoreReport struct {
	Backup   directory.BackupInfo `json:"backup"`
	Restored int                  `json:"restored"` // rooms that were missing
}

func (n *Node) restore(r *http.Request) (any, error) {
	ctx, cancel := context.WithTimeout(r.Context(), restoreTime)
	defer cancel()
	info, restored, err := n.rooms.Restore(ctx, http.MaxBytesReader(nil, r.Body, maxBackup))
	if err != nil {
		return nil, err // it says what was to be done
	}
	return RestoreReport{info, restored}, nil
}

// DirectoryFolder is the configuration of a node's directory for work on its folder while the node does not run.
func DirectoryFolder(cfg Config, log *slog.Logger) (directory.Config, error) {
	if info, err := os.Stat(cfg.Data); err != nil || !info.IsDir() {
		return directory.Config{}, fmt.Errorf("data: %s is not a folder; is this the configuration of this machine's node?", cfg.Data)
	}
	return directory.Config{
		Node: cfg.Node, Cluster: cfg.Cluster, Dir: filepath.Join(cfg.Data, "directory"),
		Voters: cfg.Directory.Voters, Expect: cfg.Directory.Expect, Logger: log,
	}, nil
}
