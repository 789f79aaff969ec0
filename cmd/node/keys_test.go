package node

import (
	"bytes"
	"reflect"
	"testing"

	"lyceum/routing/directory"
)

func TestFileDecidesOnlyWhatTheRingHasNeverHad(t *testing.T) {
	key := func(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }
	for name, test := range map[string]struct {
		ring directory.Keyring
		file []byte
		want [][]byte
	}{
		"no ring yet":            {directory.Keyring{}, key(1), [][]byte{key(1)}},
		"the file is up to date": {directory.Keyring{Version: 9, Keys: [][]byte{key(2), key(1)}}, key(2), [][]byte{key(2), key(1)}},
		"the file is behind":     {directory.Keyring{Version: 9, Keys: [][]byte{key(2), key(1)}}, key(1), [][]byte{key(2), key(1)}},
		"a removed key does not come back": {
			directory.Keyring{Version: 9, Keys: [][]byte{key(2)}, Retired: []string{keyID(key(1))}}, key(1), [][]byte{key(2)},
		},
		"the cache is behind": {directory.Keyring{Version: 9, Keys: [][]byte{key(1)}}, key(3), [][]byte{key(3), key(1)}},
	} {
		if got := keysToUse(test.ring, test.file); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
