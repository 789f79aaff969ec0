// Package gossip knows which nodes are alive, where they are and how busy.
//
// Besides, each node tells what it has measured of the ways to other regions, so that all can choose the same routes.
//
// What it says is a hint and never an authority: whoever holds the gossip key can say anything about any node. Who a node
// is, is settled by the certificates of mesh/pki; which node is a room's home, by routing/directory; whether a parent still
// delivers, by the heartbeats of mesh/link. Gossip takes some seconds to notice a crash.
package gossip
