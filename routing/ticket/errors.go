package ticket

import "errors"

// The reasons to refuse a token or a ticket. Every error of Authorize, CheckToken and Redeem is one of them or
// ErrRoomName, with or without detail.
var (
	// ErrMissing: nothing was presented.
	ErrMissing = errors.New("no token was sent; send one as \"Authorization: Bearer TOKEN\"")
	// ErrMalformed: what was presented is not a token, or lacks something that every token says.
	ErrMalformed = errors.New("the token is malformed")
	// ErrSignature: a key or an algorithm that this cluster does not accept, or a token of another cluster.
	ErrSignature = errors.New("the token was not signed by this cluster")
	// ErrExpired: the time of the token is over.
	ErrExpired = errors.New("the token has expired; ask for a new one")
	// ErrEarly: the time of the token has not begun.
	ErrEarly = errors.New("the token is not valid yet; the clocks of its issuer and of this node may differ")
	// ErrUsed: the ticket was redeemed before.
	ErrUsed = errors.New("the ticket was used before; join again to get a new one")
	// ErrWrongNode: the ticket was made for another node.
	ErrWrongNode = errors.New("the ticket was made for another node")
	// ErrWrongRoom: the token or the ticket was made for another room.
	ErrWrongRoom = errors.New("the token was made for another room")
	// ErrRole: the role may not do what is asked, or the ticket was made for another action.
	ErrRole = errors.New("the role does not allow this")
	// ErrBusy: the node remembers as many used tickets as it may.
	ErrBusy = errors.New("this node is redeeming too many tickets at once; try again in a minute")
)

// ErrRoomName is what ValidRoom returns for a name that no room can have.
var ErrRoomName = errors.New("a room name is 1 to 64 letters, digits, hyphens or underscores")
