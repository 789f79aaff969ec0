// Package wish is the HTTP that WHIP (RFC 9725) and WHEP have in common.
//
// It is named for the working group that wrote both. A Handler checks who asks, checks the offer, sends the client on
// or has a session started, and then carries trickled candidates, ICE restarts and the end of the session. What a session
// does with media is the business of the packages above.
package wish
