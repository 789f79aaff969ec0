// Package fan sends one node's media to many students with few system calls.
//
// Packets of one student that leave together are laid side by side and handed to the kernel as one train, which it cuts
// into datagrams (UDP segmentation); the trains of many students go in one call. Where the kernel cannot, each packet is a
// message of its own, and where there are no such calls at all each packet is a call.
package fan
