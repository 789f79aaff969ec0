// Package directory agrees on which rooms exist and which node is each one's home.
//
// Some nodes, the voters, agree by Raft; every node has a copy of the result, in memory and on disk, and answers from it
// at once. So a room that was known stays known while the voters cannot agree: only opening, claiming and closing rooms
// waits for them. The epoch of a room is the index of its claim in Raft's log, which never goes back: of two nodes that
// believe to be the home, the one with the higher epoch is right.
//
// A command may be given at any node, which carries it to the leader and tries again until it knows the outcome. The
// machine that all voters run (machine.go) recognises a repeated command, so that trying again is harmless.
//
// Voters of two releases that follow each other work together: all is JSON, and fields that a node does not know are passed
// over. But the machines must stay alike. So a new command, or a field of one that changes what it does, may be said only
// by the release after the one that learnt to understand it.
package directory
