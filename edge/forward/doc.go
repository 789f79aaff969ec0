// Package forward turns the packets of a track into the packets of one subscriber.
//
// A Selector says which layer passes, a Rewriter gives it sequence numbers, timestamps and picture ids without a seam, a
// History remembers what was sent under which number, and an Allocator learns from the subscriber's reports how much it can
// take. All are plain values: they start no goroutine, take no lock and read no clock. Times are in microseconds on any
// clock that does not go back.
package forward
