package edge

import (
	"encoding/binary"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"lyceum/edge/fan"
)

// way is how the packets of one leg get out: sealed here and sent in batches, or left to the peer connection. Which of the
// two is settled before the first packet and never changes, because each counts the roll-overs of the sequence numbers for
// itself, and because two that seal the same number would betray the key.
type way struct {
	stream *fan.Stream // nil: the peer connection seals
	path   *fan.Path   // nil while there is none
	conn   webrtc.TrackLocalWriter

	// The headers that the peer connection is given.
	plain, stamped rtp.Header
	stamp          []byte // the extension in stamped
}

func newWay(out *binding) way {
	w := way{conn: out.stream, plain: rtp.Header{Version: 2}, stamped: rtp.Header{Version: 2}, stamp: make([]byte, 8)}
	if out.stamp != 0 {
		_ = w.stamped.SetExtension(out.stamp, w.stamp) // the id is one of those that one byte holds
	}
	return w
}

// send sends one packet.
func (w *way) send(out *fan.Batch, h *fan.Header, payload []byte) error {
	if w.stream != nil {
		return w.stream.Send(out, w.path, h, payload)
	}
	r := &w.plain
	if h.StampID != 0 {
		r = &w.stamped
		binary.BigEndian.PutUint64(w.stamp, h.Stamp)
	}
	r.SSRC, r.Timestamp, r.SequenceNumber, r.PayloadType, r.Marker = h.SSRC, h.Timestamp, uint16(h.Index), h.Type, h.Marker
	_, err := w.conn.WriteRTP(r, payload)
	return err
}
