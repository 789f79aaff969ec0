// Package link carries tracks between two nodes over QUIC.
//
// A link joins a child to a parent: the child dials, asks for tracks and passes demand up; the parent sends their packets
// down. It consists of several QUIC connections, called stripes, because the window of a single one collapses under the
// ordinary loss of long ways. Video goes down in chunks, each on a stream of its own that one dispatcher gives to the
// stripe with the most room; audio goes as datagrams on two stripes; heartbeats tell within a second that a peer is gone.
//
// Endpoint is the node's UDP port and proves with certificates who is at the other end. Links are all links of the node,
// and the relay.Feeder of its tracks.
package link
