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

	// What the peer connection is given.
	header             rtp.Header
	stamp, time, count []byte // its extensions
	blank              []byte // padding
}

func newWay(out *binding) way {
	return way{conn: out.stream, header: rtp.Header{Version: 2}, stamp: make([]byte, 8), time: make([]byte, 4), count: make([]byte, 2)}
}

// send sends one packet. Padding behind a payload, which only makes trains even, is not given to a peer connection.
func (w *way) send(out *fan.Batch, h *fan.Header, payload []byte) error {
	if w.stream != nil {
		return w.stream.Send(out, w.path, h, payload)
	}
	r := &w.header
	r.SSRC, r.Timestamp, r.SequenceNumber, r.PayloadType, r.Marker = h.SSRC, h.Timestamp, uint16(h.Index), h.Type, h.Marker
	r.Extension, r.Extensions = false, r.Extensions[:0]
	if r.Padding = h.Padding > 0 && len(payload) == 0; r.Padding {
		w.blank = append(w.blank[:0], make([]byte, h.Padding)...)
		w.blank[h.Padding-1] = h.Padding // the last byte counts them
		payload = w.blank
	}
	if h.RawID != 0 {
		_ = r.SetExtension(h.RawID, h.Raw) // the first: it decides for the form of all
	}
	if h.TimeID != 0 {
		binary.BigEndian.PutUint32(w.time, h.Time)
		_ = r.SetExtension(h.TimeID, w.time[1:]) // ids up to 14 and so few bytes are taken
	}
	if h.CountID != 0 {
		binary.BigEndian.PutUint16(w.count, h.Count)
		_ = r.SetExtension(h.CountID, w.count)
	}
	if h.StampID != 0 {
		binary.BigEndian.PutUint64(w.stamp, h.Stamp)
		_ = r.SetExtension(h.StampID, w.stamp)
	}
	_, err := w.conn.WriteRTP(r, payload)
	return err
}
