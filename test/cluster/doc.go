// Package cluster runs whole nodes, teachers and students in one process on a simulated network, with methods that read
// as sentences.
package cluster
