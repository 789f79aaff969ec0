// Package node assembles a Lyceum node from its parts.
//
//	A track is born at an origin, carried by the mesh, and leaves at an edge. Packets go down; demand goes up.
//	A packet keeps the number it was born with; only the last hop rewrites it.
//	The node where the teacher publishes is the room's home; every student watches at the node nearest to them.
//	A thousand students asking for a keyframe are one request to the teacher; the ring answers the rest.
//	Every node contains origin, mesh and edge; its roles say which doors are open.
//
// It is the only package that knows all others. New opens nothing and starts nothing: sockets are given to it, so that
// a test can hold many nodes on a simulated network.
package node
