package wire

import (
	"bytes"
	"errors"
	"testing"
)

func TestShardComesBack(t *testing.T) {
	chunk := pack(nil, 12345, frame()[:1])
	b := AppendShard(nil, 1<<31+7, 63, chunk)
	block, index, got, err := ParseShard(b)
	if err != nil || block != 1<<31+7 || index != 63 || !bytes.Equal(got, chunk) || len(b) != len(chunk)+ShardHeader {
		t.Errorf("%v: block %d, index %d, %d bytes of %d", err, block, index, len(got), len(chunk))
	}
	for n := range ShardHeader {
		if _, _, _, err := ParseShard(b[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, _, _, err := ParseShard(chunk); !errors.Is(err, ErrMalformed) {
		t.Errorf("a chunk: %v", err)
	}
}

func TestParityComesBack(t *testing.T) {
	want := Parity{Block: 1<<31 + 7, Chunks: 64, Index: 2, Bytes: []byte("parity")}
	b := AppendParity(nil, &want)
	got, err := ParseParity(b)
	if err != nil || got.Block != want.Block || got.Chunks != 64 || got.Index != 2 || !bytes.Equal(got.Bytes, want.Bytes) {
		t.Errorf("%v: %+v", err, got)
	}
	for n := range ParityHeader + 1 {
		if _, err := ParseParity(b[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := ParseParity(AppendParity(nil, &Parity{Bytes: []byte{1}})); !errors.Is(err, ErrMalformed) {
		t.Errorf("of no chunks: %v", err)
	}
}

func FuzzShards(f *testing.F) {
	f.Add(AppendShard(nil, 1, 2, pack(nil, 1, frame()[:1])))
	f.Add(AppendParity(nil, &Parity{Block: 1, Chunks: 8, Index: 1, Bytes: []byte{1, 2, 3}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if block, index, chunk, err := ParseShard(b); err == nil && !bytes.Equal(AppendShard(nil, block, index, chunk), b) {
			t.Error("a shard is not what was read")
		}
		if p, err := ParseParity(b); err == nil && !bytes.Equal(AppendParity(nil, &p), b) {
			t.Error("a parity shard is not what was read")
		}
	})
}
