package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"lyceum/routing/directory"
	"lyceum/routing/wish"
)

// KeyInfo is a gossip key without its secret.
type KeyInfo struct {
	// ID is the beginning of a hash of the key, by which operators name it.
	ID string `json:"id"`
	// Used means that gossip is encrypted with it; the others are only understood.
	Used bool `json:"used"`
	// Missing are the living nodes that do not understand it, or do not say so.
	Missing []string `json:"missing,omitempty"`
}

// KeyList is the answer to GET /v1/keys.
type KeyList struct {
	Keys []KeyInfo `json:"keys"`
	// File is the id of the key in this node's own file, which a node without a cache begins with.
	File string `json:"file"`
	// Agreed is false while the directory has no keys and each node goes by its own file.
	Agreed bool `json:"agreed"`
}

// NewKey is the body of POST /v1/keys.
type NewKey struct {
	// Key has 32 bytes, in base64.
	Key []byte `json:"key"`
}

// keyID names a key without telling it.
func keyID(key []byte) string {
	sum := sha256.Sum256(append([]byte("lyceum gossip key "), key...))
	return hex.EncodeToString(sum[:6])
}

// keysToUse are the keys of gossip, the one to use first. The directory's ring decides. The key in the file is only added
// where the ring has never had it: then an operator has put it there for a node that was away while the keys were changed,
// and it is what the others use.
func keysToUse(ring directory.Keyring, file []byte) [][]byte {
	known := slices.ContainsFunc(ring.Keys, func(k []byte) bool { return bytes.Equal(k, file) }) ||
		slices.Contains(ring.Retired, keyID(file))
	if len(ring.Keys) > 0 && known {
		return ring.Keys
	}
	return append([][]byte{file}, ring.Keys...)
}

// followKeys has gossip use the keys of the directory until ctx is done.
func (n *Node) followKeys(ctx context.Context) error {
	version := n.rooms.Keys().Version
	for {
		changed := n.rooms.Changed()
		if ring := n.rooms.Keys(); ring.Version != version {
			// What the directory has now is what all use, so the file has no say any more.
			if err := n.gossip.SetKeys(ring.Keys); err != nil {
				return err
			}
			version = ring.Version
			n.log.Info("gossip keys have changed", "used", keyID(ring.Keys[0]), "understood", len(ring.Keys))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// gossipKeys are the ids of the keys that this node's gossip understands.
func (n *Node) gossipKeys() (ids []string) {
	for _, k := range n.gossip.Keys() {
		ids = append(ids, keyID(k))
	}
	return ids
}

// ring is the keyring to build a change upon.
func (n *Node) ring(ctx context.Context) (directory.Keyring, error) {
	if err := n.rooms.Sync(ctx); err != nil {
		return directory.Keyring{}, err
	}
	ring := n.rooms.Keys()
	ring.Keys, ring.Retired = slices.Clone(ring.Keys), slices.Clone(ring.Retired)
	if len(ring.Keys) == 0 {
		ring.Keys = [][]byte{n.fileKey}
	}
	return ring, nil
}

func (n *Node) keyList(ctx context.Context) KeyList {
	ring := n.rooms.Keys()
	list := KeyList{File: keyID(n.fileKey), Agreed: len(ring.Keys) > 0, Keys: []KeyInfo{}}
	if !list.Agreed {
		ring.Keys = [][]byte{n.fileKey}
	}
	members := n.gossip.Members()
	abouts := n.askAbout(ctx, members)
	for i, k := range ring.Keys {
		info := KeyInfo{ID: keyID(k), Used: i == 0}
		for _, m := range members {
			if m.Alive && !slices.Contains(abouts[m.ID].Keys, info.ID) {
				info.Missing = append(info.Missing, m.ID)
			}
		}
		list.Keys = append(list.Keys, info)
	}
	return list
}

// changeKeys changes the ring and answers with the list.
func (n *Node) changeKeys(r *http.Request, change func(ctx context.Context, ring *directory.Keyring) error) (any, error) {
	ctx, cancel := context.WithTimeout(r.Context(), applyTime)
	defer cancel()
	ring, err := n.ring(ctx)
	if err != nil {
		return nil, err // it says what was to be done
	}
	if err := change(ctx, &ring); err != nil {
		return nil, err
	}
	if err := n.rooms.SetKeys(ctx, ring); err != nil {
		return nil, err // it says what was to be done
	}
	return n.keyList(ctx), nil
}

func (n *Node) addKey(r *http.Request) (any, error) {
	var in NewKey
	if err := json.NewDecoder(io.LimitReader(r.Body, maxNewRoom)).Decode(&in); err != nil || len(in.Key) != len(n.fileKey) {
		return nil, &wish.Error{Status: http.StatusBadRequest, Detail: `the body must be {"key":"..."}, 32 bytes in base64`}
	}
	return n.changeKeys(r, func(_ context.Context, ring *directory.Keyring) error {
		id := keyID(in.Key)
		if slices.ContainsFunc(ring.Keys, func(k []byte) bool { return bytes.Equal(k, in.Key) }) {
			return refuseKey("key %s is understood already", id)
		}
		ring.Keys = append(ring.Keys, in.Key)
		ring.Retired = slices.DeleteFunc(ring.Retired, func(old string) bool { return old == id })
		return nil
	})
}

func (n *Node) useKey(r *http.Request) (any, error) {
	return n.changeKeys(r, func(ctx context.Context, ring *directory.Keyring) error {
		i, err := find(ring, r.PathValue("key"))
		if err != nil {
			return err
		}
		for _, k := range n.keyList(ctx).Keys {
			if k.ID == keyID(ring.Keys[i]) && len(k.Missing) > 0 {
				return refuseKey("key %s is not yet understood by %s, who would hear nobody; try again when they have it, or stop them",
					k.ID, strings.Join(k.Missing, ", "))
			}
		}
		key := ring.Keys[i]
		ring.Keys = slices.Insert(slices.Delete(ring.Keys, i, i+1), 0, key)
		return nil
	})
}

func (n *Node) removeKey(r *http.Request) (any, error) {
	return n.changeKeys(r, func(ctx context.Context, ring *directory.Keyring) error {
		i, err := find(ring, r.PathValue("key"))
		if err != nil {
			return err
		}
		if i == 0 {
			return refuseKey("key %s is the one that is used; use another one first", keyID(ring.Keys[0]))
		}
		// A node that still uses it would not be heard any more.
		abouts := n.askAbout(ctx, n.gossip.Members())
		for id, a := range abouts {
			if len(a.Keys) > 0 && a.Keys[0] != keyID(ring.Keys[0]) {
				return refuseKey("node %s does not use key %s yet; try again in a moment", id, keyID(ring.Keys[0]))
			}
		}
		ring.Retired = append(ring.Retired, keyID(ring.Keys[i]))
		ring.Keys = slices.Delete(ring.Keys, i, i+1)
		return nil
	})
}

// find is the place of a key in a ring.
func find(ring *directory.Keyring, id string) (int, error) {
	i := slices.IndexFunc(ring.Keys, func(k []byte) bool { return keyID(k) == id })
	if i < 0 {
		return 0, &wish.Error{Status: http.StatusNotFound, Detail: fmt.Sprintf("there is no key %.40q; lyceum keys list shows them", id)}
	}
	return i, nil
}

func refuseKey(format string, args ...any) error {
	return &wish.Error{Status: http.StatusConflict, Detail: fmt.Sprintf(format, args...)}
}
