// Package edge serves subscribers at this node.
//
// Each student has a whole WebRTC peer connection. In each room one pump per track reads the relay once and serves all
// students of the room, one after the other, each through its own forward state. A student may come before the teacher,
// stay while the teacher goes and comes back, and never needs a new session for it. A student who joins is served from the
// ring of the track at once; the teacher is asked for a keyframe only when the ring has none.
package edge
