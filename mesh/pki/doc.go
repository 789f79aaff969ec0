// Package pki makes the cluster's certificate authority and the certificates by which its nodes know one another.
//
// A node is named by one URI in its certificate, spiffe://<cluster>/node/<id>, and by nothing else: host names and
// addresses say nothing about identity. Both sides of every connection check the chain and that name with the same code.
package pki
