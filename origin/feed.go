package origin

import (
	"slices"
	"sync"
	"time"

	"github.com/pion/rtcp"

	"lyceum/mesh/media"
	"lyceum/mesh/relay"
)

// feed is one track that a publisher writes, with the layers that have appeared so far.
type feed struct {
	// Set by newFeed, never changed.
	track   *relay.Track
	release func()
	kind    media.Kind
	source  uint32
	metrics *metrics

	mu sync.Mutex
	// Guarded by mu.
	codec  media.Codec
	layers []*layer
	told   []media.LayerInfo // what the track was told of the layers
}

func newFeed(hub *relay.Hub, id media.TrackID, kind media.Kind, source uint32, m *metrics) *feed {
	track, release := hub.Acquire(id)
	return &feed{track: track, release: release, kind: kind, source: source, metrics: m}
}

// add makes room for a layer that appears, and announces it. It returns nil when there are too many.
func (f *feed) add(l *layer, codec media.Codec, now time.Time) *layer {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.layers) == media.MaxLayers || f.kind == media.Audio && len(f.layers) == 1 {
		return nil
	}
	l.index = media.Layer(len(f.layers))
	l.source, l.metrics, l.sound = f.source, f.metrics, f.kind == media.Audio
	l.rate, l.look, l.at = codec.ClockRate, lookerFor(codec.MimeType), now
	number := uint64(max(now.UnixMilli(), 0)) << 20
	frame := number
	if head, ok := f.track.Head(l.index); ok {
		number = max(number, head+1)
		var p media.Packet
		if f.track.Packet(l.index, head, &p) {
			frame = max(frame, p.Frame+1)
		}
	}
	l.numbers.begin(number, frame)
	f.codec = codec
	f.layers = append(f.layers, l)
	f.told = append(f.told, media.LayerInfo{RID: l.rid})
	f.announceLocked()
	return l
}

// recode is for a publisher that changes its codec on the way.
func (f *feed) recode(l *layer, codec media.Codec) {
	l.setLooker(lookerFor(codec.MimeType))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.codec != codec {
		f.codec = codec
		f.announceLocked()
	}
}

// announceLocked tells the track what is known.
func (f *feed) announceLocked() {
	f.track.Start(media.TrackInfo{Kind: f.kind, Codec: f.codec, Source: f.source, Layers: f.told})
}

// measure looks at the layers anew, and tells the track when something has changed that others decide by: the size of
// a picture, or a bitrate by more than a fifth.
func (f *feed) measure(now time.Time) {
	layers := f.list()
	infos := make([]media.LayerInfo, len(layers))
	for i, l := range layers {
		infos[i] = l.measure(now)
		if c := l.birth(); c.Known() {
			f.track.Born(l.index, c)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	changed := false
	for i, info := range infos {
		old := &f.told[i]
		if info.Width != old.Width || info.Height != old.Height || differs(info.Bitrate, old.Bitrate) {
			*old = info
			changed = true
		}
	}
	if changed {
		f.announceLocked()
	}
}

func differs(a, b uint32) bool {
	return max(a, b)-min(a, b) > max(a, b)/5
}

func (f *feed) list() []*layer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.layers)
}

// nacks appends what is to be asked for again.
func (f *feed) nacks(now time.Time, out []rtcp.Packet) []rtcp.Packet {
	var seqs []uint16
	for _, l := range f.list() {
		if seqs = l.due(now, seqs[:0]); len(seqs) == 0 {
			continue
		}
		f.metrics.nacks.Add(float64(len(seqs)))
		out = append(out, &rtcp.TransportLayerNack{MediaSSRC: l.ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(seqs)})
	}
	return out
}

// keyframes appends the requests for keyframes that the readers of the track have made since the last time. The track
// has already held them to one per layer and half a second.
func (f *feed) keyframes(out []rtcp.Packet) []rtcp.Packet {
	wanted := f.track.TakeDemand().Keyframes
	for _, l := range f.list() {
		if f.kind == media.Video && wanted.Has(l.index) {
			l.requested()
			f.metrics.keyframes.Inc()
			out = append(out, &rtcp.PictureLossIndication{MediaSSRC: l.ssrc})
		}
	}
	return out
}

// end tells the track that its source is gone.
func (f *feed) end() {
	f.track.End(f.source)
	f.release()
}

func (f *feed) status() TrackStatus {
	s := TrackStatus{Name: f.track.ID().Name}
	f.mu.Lock()
	s.Codec, s.Fmtp = f.codec.MimeType, f.codec.Fmtp
	f.mu.Unlock()
	for _, l := range f.list() {
		s.Layers = append(s.Layers, l.status())
	}
	return s
}
