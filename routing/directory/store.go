package directory

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
)

// The files of a directory's folder.
const (
	ownerFile = "owner.json" // whose state this is
	cacheFile = "rooms.json" // the rooms as last seen, to be known after a restart without a majority
	lockFile  = "lock"
	raftDir   = "raft"
)

// segmentSize is how much of the log's disk space is taken at once. Commands have some hundred bytes.
const segmentSize = 4 << 20

// store is the open state of a directory on disk.
type store struct {
	unlock    func() error
	log       *wal.WAL           // nil on a node that does not vote
	meta      *metadb.BoltMetaDB // of the log, which does not close it
	snapshots *raft.FileSnapshotStore
}

type owner struct {
	Cluster string `json:"cluster"`
	Node    string `json:"node"`
}

// openStore opens what a node keeps on disk, and makes sure that it is this node's and that nobody else uses it.
func openStore(cfg *Config) (_ *store, err error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory's folder: %w", err)
	}
	s := &store{meta: &metadb.BoltMetaDB{}}
	if s.unlock, err = lock(filepath.Join(cfg.Dir, lockFile)); err != nil {
		return nil, fmt.Errorf("folder %s: %w", cfg.Dir, err)
	}
	defer func() {
		if err != nil {
			_ = s.meta.Close()
			_ = s.unlock()
		}
	}()
	if err := own(cfg); err != nil {
		return nil, err
	}
	if !cfg.serves() {
		return s, nil
	}
	dir := filepath.Join(cfg.Dir, raftDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the directory's log: %w", err)
	}
	s.snapshots, err = raft.NewFileSnapshotStoreWithLogger(dir, 2, newLogger(cfg.Logger, slog.LevelWarn))
	if err != nil {
		return nil, fmt.Errorf("open the directory's snapshots in %s: %w", dir, err)
	}
	s.log, err = wal.Open(dir, wal.WithSegmentSize(segmentSize), wal.WithMetaStore(s.meta),
		wal.WithLogger(newLogger(cfg.Logger, slog.LevelWarn)))
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return nil, fmt.Errorf("the disk of the directory's log in %s is full; make room for some %d MB and start again, nothing "+
			"is lost: %w", dir, 2*segmentSize>>20, err)
	case err != nil:
		return nil, damaged(dir, err)
	}
	return s, nil
}

// damaged says what to do about a log that cannot be trusted.
func damaged(dir string, err error) error {
	return fmt.Errorf("the directory's log in %s is damaged or not a log: %w. While most of the other voters run, move %s away and "+
		"start with an empty folder: the leader sends all. Otherwise bring the folder back from a copy, or see \"Disaster\" in "+
		"deploy/OPERATIONS.md", dir, err, filepath.Dir(dir))
}

// verify reads the whole log. What it finds missing or changed is an error: a voter that forgets what it has agreed to could
// undo what the others believe to be settled. The log must reach as far as this node had applied it before.
func (s *store) verify(cfg *Config, applied uint64) error {
	if s.log == nil {
		return nil
	}
	dir := filepath.Join(cfg.Dir, raftDir)
	first, err := s.log.FirstIndex()
	if err != nil {
		return damaged(dir, err)
	}
	last, err := s.log.LastIndex()
	if err != nil {
		return damaged(dir, err)
	}
	for i := max(1, first); i <= last; i++ {
		var l raft.Log
		if err := s.log.GetLog(i, &l); err != nil {
			return damaged(dir, fmt.Errorf("entry %d cannot be read: %w", i, err))
		}
		if l.Index != i {
			return damaged(dir, fmt.Errorf("entry %d says that it is entry %d", i, l.Index))
		}
		if l.Type == raft.LogCommand && (!json.Valid(l.Data) || sealBroken(l.Data)) {
			return damaged(dir, fmt.Errorf("entry %d is not what was written", i))
		}
	}
	snapshots, err := s.snapshots.List()
	if err != nil {
		return damaged(dir, err)
	}
	for _, snap := range snapshots {
		last = max(last, snap.Index)
	}
	if last < applied {
		return damaged(dir, fmt.Errorf("it ends at entry %d, and entry %d had been reached before", last, applied))
	}
	return nil
}

// hasLog tells whether a folder has the log of a node that takes part.
func hasLog(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, raftDir, metadb.FileName))
	return err == nil
}

func (s *store) close() error {
	var err error
	if s.log != nil {
		err = s.log.Close()
	}
	return errors.Join(err, s.meta.Close(), s.unlock())
}

// own makes a new folder this node's, and refuses that of another node or cluster.
func own(cfg *Config) error {
	path := filepath.Join(cfg.Dir, ownerFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		b, err := json.Marshal(owner{Cluster: cfg.Cluster, Node: cfg.Node})
		if err != nil {
			return fmt.Errorf("name the owner of folder %s: %w", cfg.Dir, err)
		}
		return writeFile(path, b)
	}
	if err != nil {
		return fmt.Errorf("find the owner of folder %s: %w", cfg.Dir, err)
	}
	var o owner
	if err := json.Unmarshal(b, &o); err != nil {
		return fmt.Errorf("folder %s does not tell whose directory it is, %s cannot be read: %w", cfg.Dir, ownerFile, err)
	}
	if o.Node != cfg.Node {
		return fmt.Errorf("folder %s is the directory of node %s, and this is node %s", cfg.Dir, o.Node, cfg.Node)
	}
	if o.Cluster != cfg.Cluster && o.Cluster != "" && cfg.Cluster != "" {
		return fmt.Errorf("folder %s is of cluster %s, and this node is of cluster %s", cfg.Dir, o.Cluster, cfg.Cluster)
	}
	return nil
}

// readCache gives the rooms as they were last seen. A cache that cannot be read is no reason not to start.
func readCache(cfg *Config) image {
	path := filepath.Join(cfg.Dir, cacheFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return image{}
	}
	if err == nil {
		var i image
		i, err = readImage(f)
		_ = f.Close()
		if err == nil {
			return i
		}
	}
	cfg.Logger.Warn("the rooms of before the restart are not known", "file", path, "err", err)
	return image{}
}

func writeCache(dir string, i image) error {
	b, err := json.Marshal(i)
	if err != nil {
		return fmt.Errorf("encode the rooms: %w", err)
	}
	return writeFile(filepath.Join(dir, cacheFile), b)
}

// writeFile replaces a file at once: after a crash it is the old one or the new one.
func writeFile(path string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}
