package edge

import (
	"lyceum/edge/fan"
	"lyceum/edge/forward"
	"lyceum/mesh/media"
)

const (
	// Times in microseconds.
	meterTime = 1_000_000 // between two looks at the bitrates of the levels
	risePause = 3_000_000 // between two keyframes that are asked of the publisher so that somebody gets a higher level

	// absent is how many looks in a row a level must be missing to be gone. At fewer frames per second than looks, one alone
	// says nothing.
	absent = 3
)

// meter measures the levels of a stream that has several in one layer (SVC). The zero value has seen none. It is the pump's,
// which has all of them in hand: nothing on the way here needs to know them apart.
type meter struct {
	source  uint32
	n       int // levels that there are
	changed bool
	bytes   [media.MaxLevel + 1]int // since the last look
	missing [media.MaxLevel + 1]int // looks in a row without any
	rates   [media.MaxLevel + 1]float64
	told    [media.MaxLevel + 1]float64 // the rates that the last change was about
	at      int64                       // of the last look
}

// count takes in a packet.
func (m *meter) count(p *media.Packet) {
	if p.Source != m.source {
		*m = meter{source: p.Source, changed: m.n > 1}
	}
	level := int(p.Flags.Level())
	m.bytes[level] += len(p.Payload)
	if level >= m.n {
		m.n, m.changed = level+1, true
	}
}

// news reports whether the levels have changed since it was asked last.
func (m *meter) news() bool {
	changed := m.changed
	m.changed = false
	return changed
}

// measure takes a look if it is time. A level that is gone is noticed by those below it.
func (m *meter) measure(now int64) {
	span := float64(now-m.at) / 1e6
	if now-m.at < meterTime {
		return
	}
	first := m.at == 0
	m.at = now
	if m.n < 2 || m.bytes[0] == 0 || first {
		m.bytes = [media.MaxLevel + 1]int{}
		return
	}
	for i := range m.n {
		rate := float64(8*m.bytes[i]) / span
		if m.bytes[i] == 0 {
			m.missing[i]++
		} else {
			m.missing[i] = 0
		}
		if m.rates[i] == 0 {
			m.rates[i] = rate
		}
		m.rates[i] += (rate - m.rates[i]) / 3
		m.changed = m.changed || max(m.told[i], m.rates[i]) > 1.2*min(m.told[i], m.rates[i])
		m.bytes[i] = 0
	}
	if m.changed {
		m.told = m.rates
	}
	for m.n > 1 && m.missing[m.n-1] >= absent {
		m.n--
		m.missing[m.n], m.rates[m.n], m.changed = 0, 0, true
	}
}

// levelNames are what players choose levels by, one character each: as WHEP counts spatial layers.
const levelNames = "0123456789"

// levels describes what a subscriber can be given of a track: its layers, or the levels of its only layer. A level is as large
// as all that it needs.
func (m *meter) levels(info *media.TrackInfo) (layers []media.LayerInfo, svc bool) {
	if m.n < 2 || len(info.Layers) != 1 {
		return info.Layers, false
	}
	top := info.Layers[0]
	layers = make([]media.LayerInfo, m.n)
	sum := float64(silent)
	for i := range layers {
		layers[i].RID = levelNames[i : i+1]
		sum += max(m.rates[i], 1) // where no bitrate is known yet, the levels are in their order nevertheless
		layers[i].Bitrate = uint32(min(sum, 4e9))
	}
	layers[m.n-1].Width, layers[m.n-1].Height = top.Width, top.Height
	return layers, true
}

// point makes the leg aim at a place of its order. The best level has no bound, so that one that the publisher adds is seen
// at once. Of AV1 a player that takes no dependency descriptors gets the lowest level alone: it cannot tell where the parts of
// a frame end, and Chromium decodes nothing of more.
func (l *leg) point(at int) {
	if !l.svc {
		l.levels.Aim(media.MaxLevel)
		l.selector.Aim(l.order[at])
		return
	}
	l.selector.Aim(0)
	switch {
	case l.codec != nil && l.codec.format == forward.FormatAV1 && l.out.dependency == 0:
		l.levels.Aim(0)
	case at == 0:
		l.levels.Aim(media.MaxLevel)
	default:
		l.levels.Aim(uint8(l.order[at]))
	}
}

// rise asks for a keyframe if the subscriber is to get a higher level. It costs all students, so it is asked for seldom;
// whoever waits rises with it.
func (l *leg) rise(p *pump, now int64) {
	if layer, playing := l.selector.Playing(); l.svc && playing && p.state.Live && l.levels.Rises(len(l.order)) &&
		p.flows(layer, now) && (p.asked[layer] == 0 || now-p.asked[layer] >= risePause) {
		p.missing = p.missing.Add(layer)
	}
}

// describe takes the dependency descriptor of a packet from its payload, which it returns, and puts it into the header where
// the player takes it.
func (l *leg) describe(h *fan.Header, pkt *media.Packet) (payload []byte) {
	if !pkt.Flags.Has(media.Described) {
		return pkt.Payload
	}
	descriptor, payload := media.SplitDescriptor(pkt.Payload)
	if len(descriptor) > 0 {
		h.RawID, h.Raw = l.out.dependency, descriptor
	}
	return payload
}
