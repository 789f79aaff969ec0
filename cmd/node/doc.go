// Package node assembles a Lyceum node from its parts.
//
// A track is born at an origin, carried by the mesh, and leaves at an edge. Packets go down; demand goes up.
// The folders are places on a packet's journey, not kinds of machine. Every node contains all three; its configured roles
// say which doors are open and what it advertises. The node where the teacher publishes is the room's home. With no
// peers, one node is a complete SFU. A packet keeps the number it was born with, and only the last hop rewrites it, so that
// any node that holds a track can stand in for any other; a track can be born at any node, and there is no reverse path.
//
// This is the only package that knows all others. New opens nothing and starts nothing: sockets are given to it, so that
// a test can hold many nodes on a simulated network.
package node
