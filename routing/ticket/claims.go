package ticket

import (
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// issuer is the "iss" of everything that is signed here.
	issuer = "lyceum"
	// typeToken and typeTicket are the "typ" of the two kinds, so that neither passes for the other (RFC 8725, 3.11).
	typeToken  = "JWT"
	typeTicket = "ticket+jwt"
	// maxRaw bounds what is parsed at all: a token with the longest texts in the widest escapes has less than 3 kB.
	maxRaw = 4096
)

// claims is the body of both kinds.
type claims struct {
	jwt.RegisteredClaims
	Name   string `json:"name,omitempty"`
	Room   string `json:"room"`
	Role   Role   `json:"role"`
	Node   string `json:"node,omitempty"` // tickets only
	Action Action `json:"act,omitempty"`  // tickets only
}

// sign encodes and signs with the signing key.
func (k *Keys) sign(typ string, c claims) (string, error) {
	if k.signer == nil {
		return "", errors.New("there is no private key among the ticket keys")
	}
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c)
	t.Header["typ"], t.Header["kid"] = typ, k.signerID
	raw, err := t.SignedString(k.signer)
	if err != nil {
		return "", err
	}
	if len(raw) > maxRaw {
		return "", fmt.Errorf("it would have %d bytes, more than %d", len(raw), maxRaw)
	}
	return raw, nil
}

// check verifies the signature, the issuer, the audience and the time, and answers with a sentinel.
func (k *Keys) check(typ, raw string, now time.Time, leeway time.Duration) (*claims, error) {
	if raw == "" {
		return nil, ErrMissing
	}
	if len(raw) > maxRaw {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrMalformed, maxRaw)
	}
	var c claims
	_, err := jwt.ParseWithClaims(raw, &c, func(t *jwt.Token) (any, error) { return k.verifier(typ, t) },
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithIssuer(issuer),
		jwt.WithAudience(k.cluster),
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(leeway),
		jwt.WithTimeFunc(func() time.Time { return now }),
		jwt.WithStrictDecoding(),
	)
	if err != nil {
		return nil, reason(err)
	}
	return &c, nil
}

// verifier picks the key that the header names, after a look at the rest of the header.
func (k *Keys) verifier(typ string, t *jwt.Token) (any, error) {
	got, ok := t.Header["typ"].(string)
	if !ok && t.Header["typ"] == nil {
		got = typeToken // RFC 7515 makes "typ" optional
	}
	if got != typ {
		return nil, fmt.Errorf("%w: its type is not %q", ErrMalformed, typ)
	}
	if _, ok := t.Header["crit"]; ok {
		// RFC 7515, 4.1.11: an extension that must be understood and is not.
		return nil, fmt.Errorf("%w: it demands an extension that is not known here", ErrMalformed)
	}
	id, _ := t.Header["kid"].(string)
	key, ok := k.accepted[id]
	if !ok {
		return nil, fmt.Errorf("%w: it names no key that is known here", ErrSignature)
	}
	return key, nil
}

// reason turns an error of the JWT library, which may join several, into the one that the bearer can act on. What is
// signed wrongly is never looked into further.
func reason(err error) error {
	switch {
	case errors.Is(err, ErrMalformed):
		return fmt.Errorf("%w: its header is of another kind", ErrMalformed)
	case errors.Is(err, ErrSignature):
		return fmt.Errorf("%w: it names no key that is known here", ErrSignature)
	case errors.Is(err, jwt.ErrTokenMalformed):
		return ErrMalformed
	case errors.Is(err, jwt.ErrTokenUnverifiable), errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return ErrSignature
	case errors.Is(err, jwt.ErrTokenInvalidAudience), errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return fmt.Errorf("%w: it was issued for another one", ErrSignature)
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return fmt.Errorf("%w: it lacks its issuer, its cluster or its end", ErrMalformed)
	case errors.Is(err, jwt.ErrTokenExpired):
		return ErrExpired
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return ErrEarly
	}
	return ErrMalformed
}
