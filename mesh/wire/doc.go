// Package wire writes and reads the bytes between nodes.
//
// It is pure: values in, bytes out, and back. Four things travel on a link. Messages go both ways on the control stream;
// chunks, some packets of one frame of one layer, go down, one to a stream or, for audio, to a datagram; on ways that lose
// packets a chunk is a shard of a block, and parity shards follow it on streams of their own; heartbeats are datagrams. All is made to grow: a kind of message that a node does not know is skipped, fields that follow the known
// ones are ignored, and Hello agrees on a version before anything else is said.
//
// Integers are the varints of encoding/binary unless said; fixed ones are big-endian. A text is its length and its bytes.
// A block is a length and as many bytes, so that its fields can grow too.
//
// Two releases that follow each other work in one class. What keeps it so:
//
//   - A field that an older node may do without is added at the end of a message, of a block or of a chunk's header, and
//     read only where bytes are left. It needs no new version.
//   - A message, a stream or a datagram of a new kind is passed over by older nodes, of any length that QUIC lets through
//     and, for messages, MaxMessage. It needs a new version only where the sender relies on being understood.
//   - What an older node would misunderstand, or what must not be said to it in vain, is said only where the link has agreed
//     on the version that brought it. In version 1 all tracks come from the room's home and nothing makes up for
//     lost chunks; version 2 brought TrackID.Origin, and shards and parity.
//   - Numbers of kinds and of reasons, and the order and meaning of fields, never change. Bounds such as media.MaxLayers only
//     grow together with a version, and what goes to an older peer keeps to its bounds.
//
// To make version N+1: raise Version, let all that is new ask which version its link speaks, and pin the bytes of all that
// can be said now in testdata/version<N+1>.txt (the test prints the lines). Oldest is raised to N by the release after, when
// no node of the one before is left in any cluster; what was kept for the older version then goes, its file in testdata
// too. A file of a version that was released is never changed: TestEachVersionIsReadAndSaidAsItWasReleased holds this
// package to it. Nodes without a version in common tell each other so, and the child does not dial again for a while.
package wire
