// Package relay carries a track through one node: one writer, many readers, each at its own pace.
//
// A Track keeps the last seconds of every layer in a ring. The writer is a publisher at the origin or a Feeder that
// reads the track from another node; nobody below can tell which. Readers are links to other nodes, the pumps of an
// edge, recorders. The only thing that travels up is Demand: the layers somebody wants, and keyframes somebody needs.
package relay
