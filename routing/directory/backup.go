package directory

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// restoreFile is a backup that waits in a folder for a directory to be there.
const restoreFile = "restore.json"

const backupFormat = "lyceum directory backup 1"

// BackupInfo is the first line of a backup.
type BackupInfo struct {
	Format  string    `json:"format"`
	Cluster string    `json:"cluster"`
	Node    string    `json:"node"` // where it was taken
	Taken   time.Time `json:"taken"`
	Index   uint64    `json:"index"` // how far the node had come in the log
	Rooms   int       `json:"rooms"`
	// Sum is the SHA-256 of the rest of the file, in hexadecimal.
	Sum string `json:"sum"`
}

// Backup writes the rooms that this node knows, as Restore takes them. It needs no majority; after Sync it has everything
// that was decided. Keys are not part of it.
func (d *Directory) Backup(w io.Writer) (BackupInfo, error) {
	i := d.view.image()
	rooms, err := json.Marshal(i.Rooms)
	if err != nil {
		return BackupInfo{}, fmt.Errorf("back up the directory: %w", err)
	}
	info := BackupInfo{
		Format: backupFormat, Cluster: d.cfg.Cluster, Node: d.cfg.Node, Taken: time.Now().UTC(), Index: i.Index, Rooms: len(i.Rooms),
		Sum: sum256(rooms),
	}
	head, err := json.Marshal(info)
	if err == nil {
		_, err = w.Write(slices.Concat(head, []byte("\n"), rooms))
	}
	if err != nil {
		return BackupInfo{}, fmt.Errorf("back up the directory: %w", err)
	}
	return info, nil
}

func sum256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// readBackup reads what Backup wrote. cluster is whose it must be.
func readBackup(r io.Reader, cluster string) (info BackupInfo, rooms []Room, err error) {
	const maxHead = 4 << 10
	in := bufio.NewReaderSize(io.LimitReader(r, maxImage), maxHead)
	head, err := in.ReadSlice('\n')
	if err != nil || json.Unmarshal(head, &info) != nil || info.Format != backupFormat {
		return info, nil, errors.New("this is not a backup of a directory, or of a version that this program does not read")
	}
	if info.Cluster != cluster {
		return info, nil, fmt.Errorf("the backup is of cluster %.63q, and this is cluster %s", info.Cluster, cluster)
	}
	b, err := io.ReadAll(in)
	if err != nil {
		return info, nil, fmt.Errorf("read the backup: %w", err)
	}
	if sum256(b) != info.Sum {
		return info, nil, errors.New("the backup is cut off or was changed: it does not have its checksum; take another copy")
	}
	if err := json.Unmarshal(b, &rooms); err != nil {
		return info, nil, fmt.Errorf("read the backup's rooms: %w", err)
	}
	if len(rooms) > maxRooms {
		return info, nil, fmt.Errorf("the backup has %d rooms, and a cluster may have %d", len(rooms), maxRooms)
	}
	for i := range rooms {
		if err := rooms[i].check(); err != nil {
			return info, nil, fmt.Errorf("read the backup's rooms: %w", err)
		}
	}
	return info, rooms, nil
}

// Restore opens the rooms of a backup that are not open, with the home and the epoch that they had. Rooms that are open stay
// as they are. It may be repeated.
func (d *Directory) Restore(ctx context.Context, r io.Reader) (info BackupInfo, restored int, err error) {
	info, rooms, err := readBackup(r, d.cfg.Cluster)
	if err != nil {
		return info, 0, fmt.Errorf("%w to restore: %w", ErrRefused, err)
	}
	for chunk := range slices.Chunk(rooms, roomsPerCommand) {
		res, err := d.result(ctx, command{Op: opRestore, Rooms: chunk})
		if err == nil {
			err = res.err()
		}
		if restored += res.Restored; err != nil {
			return info, restored, fmt.Errorf("restore the directory: %d of %d rooms are done: %w", restored, info.Rooms, err)
		}
	}
	return info, restored, nil
}

// RestoreFolder lays a backup into the folder of a node that does not run and has no log yet. The node restores it when it
// has founded a directory or joined one.
func RestoreFolder(cfg Config, r io.Reader) (info BackupInfo, err error) {
	if hasLog(cfg.Dir) {
		return info, fmt.Errorf("folder %s has a directory already; start the node and restore while it runs, which adds the rooms that "+
			"are missing", cfg.Dir)
	}
	b, err := io.ReadAll(io.LimitReader(r, maxImage))
	if err != nil {
		return info, fmt.Errorf("read the backup: %w", err)
	}
	if info, _, err = readBackup(bytes.NewReader(b), cfg.Cluster); err != nil {
		return info, fmt.Errorf("restore into %s: %w", cfg.Dir, err)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return info, fmt.Errorf("make the directory's folder: %w", err)
	}
	return info, writeFile(filepath.Join(cfg.Dir, restoreFile), b)
}

// bringBack restores the backup that RestoreFolder has laid down, once there is a directory, and takes it away then.
func (d *Directory) bringBack(ctx context.Context) {
	path := filepath.Join(d.cfg.Dir, restoreFile)
	for ctx.Err() == nil {
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		var info BackupInfo
		restored := 0
		if err == nil {
			info, restored, err = d.Restore(ctx, bytes.NewReader(b))
		}
		if err == nil {
			d.log.Info("the backup is restored", "rooms", restored, "of", info.Rooms, "taken", info.Taken)
			err = os.Remove(path)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		d.log.Error("the backup is not restored and is tried again", "file", path, "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Second):
		}
	}
}

// Recovered is what Recover has saved.
type Recovered struct {
	Index  uint64   `json:"index"` // the end of the log
	Rooms  int      `json:"rooms"`
	Voters []string `json:"voters"`
}

// Recover makes the given nodes the only ones that take part, on a node that does not run, when a majority of the voters is
// lost for good. What this node had in its log counts as decided, whether or not a majority had it. With more than one
// survivor it must be done at each with the same voters. The directory gets a new name, so that nodes with the old log are
// not let in by mistake.
func Recover(cfg Config, voters []string) (got Recovered, err error) {
	if !hasLog(cfg.Dir) {
		return got, fmt.Errorf("folder %s has no log of a directory to recover", cfg.Dir)
	}
	if !slices.Contains(voters, cfg.Node) {
		return got, fmt.Errorf("node %s is to be recovered and must be among those that take part", cfg.Node)
	}
	cfg = cfg.withDefaults()
	s, err := openStore(&cfg)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.verify(&cfg, 0); err != nil {
		return got, err
	}
	d := &Directory{cfg: cfg, log: cfg.Logger}
	config := d.raftConfig()
	var c raft.Configuration
	for _, id := range sortedStrings(voters) {
		c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(id), Address: raft.ServerAddress(id)})
	}
	f := &fsm{view: newView(image{}), log: cfg.Logger, machine: newMachine(), nameless: true}
	_, transport := raft.NewInmemTransport(raft.ServerAddress(cfg.Node))
	if err := raft.RecoverCluster(config, f, s.log, s.log, s.snapshots, transport, c); err != nil {
		return got, fmt.Errorf("recover the directory in %s: %w", cfg.Dir, err)
	}
	cache := f.machine.image()
	cache.Directory, cache.Sessions = "", nil
	if err := writeCache(cfg.Dir, cache); err != nil {
		return got, err
	}
	return Recovered{Index: f.machine.index, Rooms: len(f.machine.rooms), Voters: sortedStrings(voters)}, nil
}
