// Package wire writes and reads the bytes between nodes.
//
// It is pure: values in, bytes out, and back. Three things travel on a link. Messages go both ways on the control stream;
// chunks, some packets of one frame of one layer, go down, one to a stream or, for audio, to a datagram; heartbeats are
// datagrams. All is made to grow: a kind of message that a node does not know is skipped, fields that follow the known
// ones are ignored, and Hello agrees on a version before anything else is said.
//
// Integers are the varints of encoding/binary unless said; fixed ones are big-endian. A text is its length and its bytes.
// A block is a length and as many bytes, so that its fields can grow too.
package wire
