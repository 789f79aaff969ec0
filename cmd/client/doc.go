// Package client is a teacher and a class of students without a browser: it publishes by WHIP and watches by WHEP.
//
// The teacher plays a real encoded clip in real time and answers keyframe requests as an encoder does. The students decode
// nothing; they repair what was lost, as a browser does, and measure what reached them. Both speak only the public HTTP and
// WebRTC doors, so they work against any server that follows RFC 9725 and the WHEP draft; the one thing of Lyceum's own that
// they know is the question which node to watch at, and they do without it where it is not answered.
package client
