package fan

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/prf"
	"github.com/pion/dtls/v3/pkg/protocol/extension"
	"github.com/pion/dtls/v3/pkg/protocol/handshake"
	"github.com/pion/srtp/v3"
	"github.com/pion/webrtc/v4"
)

// ErrNoKeys means that the keys of a connection are not known: it has not shaken hands, or this side is not the DTLS server.
var ErrNoKeys = errors.New("the connection's keys are not known here")

// The sizes of what DTLS 1.2 makes keys from (RFC 5246, sections 7.4.1.2 and 8.1).
const (
	randomSize = 32
	masterSize = 48
)

// Keys learns the keys of one WebRTC connection while it shakes hands, so that its media can be sealed beside it. The
// connection seals RTCP alone then: with GCM, two packets under one SSRC and number would betray the key, so one of the
// two seals the packets of an SSRC, and never the other.
type Keys struct {
	mu sync.Mutex
	// Guarded by mu.
	client, server, master []byte
	sha384                 bool
	profile                srtp.ProtectionProfile
}

// Tap lets the connection that is made with the settings tell its keys, if it will be the DTLS server.
func (k *Keys) Tap(e *webrtc.SettingEngine) {
	e.SetDTLSKeyLogWriter(k)
	e.SetDTLSServerHelloMessageHook(k.hello)
}

// Write takes a line of the key log, "CLIENT_RANDOM random master".
func (k *Keys) Write(line []byte) (int, error) {
	fields := strings.Fields(string(line))
	if len(fields) != 3 || fields[0] != "CLIENT_RANDOM" {
		return len(line), nil
	}
	client, e1 := hex.DecodeString(fields[1])
	master, e2 := hex.DecodeString(fields[2])
	if e1 != nil || e2 != nil || len(client) != randomSize || len(master) != masterSize {
		return len(line), nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.client, k.master = client, master
	return len(line), nil
}

// hello takes what this side has chosen.
func (k *Keys) hello(m handshake.MessageServerHello) handshake.Message {
	k.mu.Lock()
	defer k.mu.Unlock()
	random := m.Random.MarshalFixed()
	k.server = random[:]
	// The suites whose secrets are made with SHA-384; all others of DTLS 1.2 use SHA-256 (RFC 5289).
	k.sha384 = m.CipherSuiteID != nil && (*m.CipherSuiteID == uint16(dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384) ||
		*m.CipherSuiteID == uint16(dtls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384))
	k.profile = 0
	for _, e := range m.Extensions {
		if u, ok := e.(*extension.UseSRTP); ok && len(u.ProtectionProfiles) == 1 {
			k.profile = srtp.ProtectionProfile(u.ProtectionProfiles[0])
		}
	}
	return &m
}

// ExportKeyingMaterial makes keys from the master secret (RFC 5705, section 4). There is no context.
func (k *Keys) ExportKeyingMaterial(label string, _ []byte, length int) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.client == nil || k.server == nil || k.master == nil {
		return nil, ErrNoKeys
	}
	seed := append([]byte(label), k.client...)
	seed = append(seed, k.server...)
	var h func() hash.Hash = sha256.New
	if k.sha384 {
		h = sha512.New384
	}
	return prf.PHash(k.master, seed, length, h)
}

// Streams makes what seals the packets of n tracks. It is called once the connection is up.
func (k *Keys) Streams(n int) ([]*Stream, error) {
	c, err := k.session()
	if err != nil {
		return nil, fmt.Errorf("seal media: %w", err)
	}
	streams := make([]*Stream, n)
	if c.Profile == srtp.ProtectionProfileAeadAes128Gcm || c.Profile == srtp.ProtectionProfileAeadAes256Gcm {
		aead, salt, err := newGCM(c.Keys.LocalMasterKey, c.Keys.LocalMasterSalt)
		if err != nil {
			return nil, fmt.Errorf("seal media: %w", err)
		}
		for i := range streams {
			streams[i] = &Stream{aead: aead, salt: salt}
		}
		return streams, nil
	}
	for i := range streams {
		context, err := srtp.CreateContext(c.Keys.LocalMasterKey, c.Keys.LocalMasterSalt, c.Profile)
		if err != nil {
			return nil, fmt.Errorf("seal media: %w", err)
		}
		streams[i] = &Stream{context: context}
	}
	return streams, nil
}

// session makes the keys of both directions.
func (k *Keys) session() (*srtp.Config, error) {
	k.mu.Lock()
	c := &srtp.Config{Profile: k.profile}
	k.mu.Unlock()
	if c.Profile == 0 {
		return nil, ErrNoKeys
	}
	return c, c.ExtractSessionKeysFromDTLS(k, false)
}

// Forget wipes the secrets.
func (k *Keys) Forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.master)
	k.client, k.server, k.master = nil, nil, nil
}
