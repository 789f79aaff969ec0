// Command load measures Lyceum under load and on bad networks, and prints tables.
//
//	go run ./test/load link   one link on long ways that lose packets: real time, real sockets, a middlebox on loopback
//	go run ./test/load hop    what one hop adds: delay on loopback, and CPU against a bare QUIC stream
//	go run ./test/load wan    whole nodes in network namespaces, joined by a router that delays and loses (root, Linux)
//	go run ./test/load fail   such nodes again, one of whose parents is killed, stopped and cut off (root, Linux)
//
// All traffic stays on loopback or in namespaces that the command makes itself, and every run ends by itself.
package main
