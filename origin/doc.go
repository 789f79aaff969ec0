// Package origin receives publishers at this node and makes their media into tracks.
//
// A publisher is one peer connection with a camera, a microphone or both. Each packet is looked at once, here: it gets
// its layer, its place among the packets and frames of the layer, and the time at which it was captured. Packets that
// are missing are asked for again; keyframes are asked for when somebody below needs one.
package origin
