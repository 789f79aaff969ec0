// Package ticket signs and checks the rights that people carry: a token opens a room for as long as a class lasts, a
// ticket allows one action at one node, once, within a minute.
//
// Both are JSON Web Tokens (RFC 7519) signed with Ed25519 and nothing else. A token travels in an Authorization header
// and may be used by many connections at once. A ticket travels in the path of a redirect, where browsers drop the
// header, and is worthless as soon as it was redeemed.
package ticket
