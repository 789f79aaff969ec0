// Package fan measures what it costs a server to send one track to a class of students, beside two plain servers.
//
// The coordinator publishes and keeps the results. Each server runs in a process of its own, whose CPU time and memory it
// tells; all students live in another. They speak WHIP and WHEP and nothing that only Lyceum knows.
package fan
