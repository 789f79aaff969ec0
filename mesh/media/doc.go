// Package media holds the nouns of a class in motion: packets, layers, tracks, codecs and clocks.
//
// It starts no goroutine, opens no socket and takes no lock, so every other package may use it.
package media
