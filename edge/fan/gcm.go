package fan

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

// The labels of the keys that are derived from a master key (RFC 3711, section 4.3.2).
const (
	labelKey  = 0
	labelSalt = 2
)

const saltSize = 12

// derive makes a key of size bytes from a master key and salt (RFC 3711, section 4.3; RFC 7714, section 11).
func derive(label byte, master cipher.Block, salt []byte, size int) []byte {
	var in [aes.BlockSize]byte
	copy(in[:], salt)
	in[7] ^= label
	var out []byte
	for i := 0; len(out) < size; i++ {
		var block [aes.BlockSize]byte
		binary.BigEndian.PutUint16(in[14:], uint16(i))
		master.Encrypt(block[:], in[:])
		out = append(out, block[:]...)
	}
	return out[:size]
}

// newGCM makes what seals packets with AES-GCM, and the salt of their nonces.
func newGCM(masterKey, masterSalt []byte) (cipher.AEAD, [saltSize]byte, error) {
	var salt [saltSize]byte
	master, err := aes.NewCipher(masterKey)
	if err != nil {
		return nil, salt, fmt.Errorf("derive the keys: %w", err)
	}
	block, err := aes.NewCipher(derive(labelKey, master, masterSalt, len(masterKey)))
	if err != nil {
		return nil, salt, fmt.Errorf("derive the keys: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, salt, fmt.Errorf("derive the keys: %w", err)
	}
	return aead, [saltSize]byte(derive(labelSalt, master, masterSalt, saltSize)), nil
}

// nonce writes that of a packet (RFC 7714, section 8.1).
func nonce(iv, salt *[saltSize]byte, ssrc uint32, index uint64) {
	iv[0], iv[1] = salt[0], salt[1]
	binary.BigEndian.PutUint32(iv[2:], binary.BigEndian.Uint32(salt[2:])^ssrc)
	binary.BigEndian.PutUint32(iv[6:], binary.BigEndian.Uint32(salt[6:])^uint32(index>>16))
	binary.BigEndian.PutUint16(iv[10:], binary.BigEndian.Uint16(salt[10:])^uint16(index))
}
