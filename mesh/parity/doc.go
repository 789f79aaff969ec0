// Package parity makes up for packets that are lost on the way, from others that were sent for them.
//
// An Encoder gathers chunks in blocks and gives, for each block, some parity shards (Reed-Solomon); a Decoder that has as
// many shards of a block as it has chunks, whichever they are, gives the chunks that are missing. There is no goroutine, no
// socket, no lock and no clock here.
package parity
