// Package whep speaks WHEP (draft-ietf-wish-whep): HTTP in front of edge.
package whep
