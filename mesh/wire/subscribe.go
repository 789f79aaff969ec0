package wire

import (
	"encoding/binary"
	"fmt"

	"lyceum/mesh/media"
)

// Subscribe asks the parent for a track. It goes up.
type Subscribe struct {
	// Sub is the child's number for the subscription; all that follows names it so. It is never used twice on a link.
	Sub uint64
	// Track is what is wanted.
	Track media.TrackID
	// Epoch is the room's epoch as the child knows it.
	Epoch uint64
	// Layers are those to be sent.
	Layers media.LayerSet
	// Standby asks for the state alone: no packet flows until an Update says otherwise.
	Standby bool
	// From is the first packet that the child lacks, for each layer; 0 means that it has nothing.
	From [media.MaxLayers]uint64
	// Track.Origin comes last. Version 1 does not know it and would serve the track of that name that comes from the
	// room's home, so that a track with an origin is asked for from version 2 on.
}

func (*Subscribe) kind() uint64 { return kindSubscribe }

func (s *Subscribe) appendBody(b []byte) []byte {
	b = binary.AppendUvarint(b, s.Sub)
	b = appendText(b, s.Track.Room)
	b = appendText(b, s.Track.Name)
	b = binary.AppendUvarint(b, s.Epoch)
	b = append(b, byte(s.Layers))
	b = appendBool(b, s.Standby)
	b = appendFrom(b, s.From)
	return appendText(b, s.Track.Origin)
}

func (s *Subscribe) parseBody(c *cursor) {
	s.Sub = c.uvarint()
	s.Track.Room = c.text()
	s.Track.Name = c.text()
	s.Epoch = c.uvarint()
	s.Layers = c.layers()
	s.Standby = c.flag()
	s.From = parseFrom(c)
	if c.err == nil && len(c.b) > 0 {
		s.Track.Origin = c.text()
	}
	if c.err == nil && (!fits(s.Track.Room) || !fits(s.Track.Name)) {
		c.fail("the name of a room or track is empty or too long")
	}
	if c.err == nil && len(s.Track.Origin) > MaxName {
		c.fail("the name of a track's origin is too long")
	}
}

// appendFrom appends a number for each layer.
func appendFrom(b []byte, from [media.MaxLayers]uint64) []byte {
	b = append(b, media.MaxLayers)
	for _, n := range from {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func parseFrom(c *cursor) (from [media.MaxLayers]uint64) {
	for l := range c.octet() {
		if n := c.uvarint(); l < media.MaxLayers {
			from[l] = n
		}
	}
	return from
}

func fits(name string) bool { return name != "" && len(name) <= MaxName }

// Accepted says that the subscription stands. It goes down.
type Accepted struct {
	Sub   uint64
	State TrackState
}

func (*Accepted) kind() uint64 { return kindAccepted }

func (a *Accepted) appendBody(b []byte) []byte {
	return a.State.append(binary.AppendUvarint(b, a.Sub))
}

func (a *Accepted) parseBody(c *cursor) {
	a.Sub = c.uvarint()
	a.State.parse(c)
}

// Reason is why a subscription is refused.
type Reason uint8

// The reasons of a refusal. A number is never used again for another meaning.
const (
	// Redirect means that others are to be asked instead.
	Redirect Reason = 1 + iota
	// Loop means that the parent gets the track from the child.
	Loop
	// StaleEpoch means that the parent knows of a newer owner of the room than the child does.
	StaleEpoch
	// Behind means that the child knows of a newer owner of the room than the parent does.
	Behind
	// Overloaded means that the parent serves as much as it may.
	Overloaded
	// TooDeep means that the parent is as far from the home as a node may be.
	TooDeep
)

func (r Reason) String() string {
	switch r {
	case Redirect:
		return "redirect"
	case Loop:
		return "loop"
	case StaleEpoch:
		return "stale epoch"
	case Behind:
		return "behind"
	case Overloaded:
		return "overloaded"
	case TooDeep:
		return "too deep"
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// Refused ends a subscription that was asked for or that stood. It goes down.
type Refused struct {
	Sub    uint64
	Reason Reason
	// Epoch is the room's epoch as the parent knows it.
	Epoch uint64
	// Nodes are those to be asked instead.
	Nodes []string
}

func (*Refused) kind() uint64 { return kindRefused }

func (r *Refused) appendBody(b []byte) []byte {
	b = binary.AppendUvarint(b, r.Sub)
	b = append(b, byte(r.Reason))
	b = binary.AppendUvarint(b, r.Epoch)
	return appendTexts(b, r.Nodes)
}

func (r *Refused) parseBody(c *cursor) {
	r.Sub = c.uvarint()
	r.Reason = Reason(c.octet())
	r.Epoch = c.uvarint()
	r.Nodes = c.texts()
}

// Update changes what a subscription wants. It goes up.
type Update struct {
	Sub uint64
	// Layers are those to be sent from now on.
	Layers media.LayerSet
	// Standby asks for the state alone, as in Subscribe.
	Standby bool
	// From is the first packet that the child lacks, for each layer that it did not want before; 0 means that it has
	// nothing. Peers that do not know the field leave it out.
	From [media.MaxLayers]uint64
}

func (*Update) kind() uint64 { return kindUpdate }

func (u *Update) appendBody(b []byte) []byte {
	b = binary.AppendUvarint(b, u.Sub)
	b = append(b, byte(u.Layers))
	b = appendBool(b, u.Standby)
	return appendFrom(b, u.From)
}

func (u *Update) parseBody(c *cursor) {
	u.Sub = c.uvarint()
	u.Layers = c.layers()
	u.Standby = c.flag()
	if c.err == nil && len(c.b) > 0 {
		u.From = parseFrom(c)
	}
}

// Unsubscribe ends a subscription. It goes up.
type Unsubscribe struct{ Sub uint64 }

func (*Unsubscribe) kind() uint64 { return kindUnsubscribe }

func (u *Unsubscribe) appendBody(b []byte) []byte { return binary.AppendUvarint(b, u.Sub) }

func (u *Unsubscribe) parseBody(c *cursor) { u.Sub = c.uvarint() }

// Keyframe asks for a keyframe of one layer. It goes up.
type Keyframe struct {
	Sub   uint64
	Layer media.Layer
	// Known is the keyframe that the child has, 0 for none. A newer one that is on its way to it answers the request.
	Known uint64
}

func (*Keyframe) kind() uint64 { return kindKeyframe }

func (k *Keyframe) appendBody(b []byte) []byte {
	b = binary.AppendUvarint(b, k.Sub)
	b = binary.AppendUvarint(b, uint64(k.Layer))
	return binary.AppendUvarint(b, k.Known)
}

func (k *Keyframe) parseBody(c *cursor) {
	k.Sub = c.uvarint()
	k.Layer = c.layer()
	k.Known = c.uvarint()
}
