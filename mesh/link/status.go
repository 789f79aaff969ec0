package link

import (
	"strings"
	"time"

	"lyceum/mesh/media"
)

// LinkStatus is a link as /status shows it.
type LinkStatus struct {
	Peer          string               `json:"peer"`
	Direction     string               `json:"direction"` // up: the peer is the parent; down: the child
	Age           float64              `json:"age_s"`
	Stripes       int                  `json:"stripes"`
	RTT           float64              `json:"rtt_ms"`          // by heartbeats, with what the hosts add
	Offset        float64              `json:"clock_offset_ms"` // the peer's clock minus ours
	Loss          float64              `json:"loss"`            // of what this end sent in the last one or two minutes; 0 while not known
	Window        uint64               `json:"window_bytes"`    // of all stripes
	Queued        int                  `json:"queued_packets"`
	Protected     bool                 `json:"protected"` // parity goes with live video to this child
	Parity        float64              `json:"parity"`    // packets of parity for each protected one, since the link is there
	Packets       uint64               `json:"packets"`
	Bytes         uint64               `json:"bytes"`
	Subscriptions []SubscriptionStatus `json:"subscriptions"`
}

// SubscriptionStatus is a track on a link.
type SubscriptionStatus struct {
	Room    string         `json:"room"`
	Track   string         `json:"track"`
	Origin  string         `json:"origin,omitempty"` // where the track is born, if not at the room's home
	Epoch   uint64         `json:"epoch"`
	Layers  media.LayerSet `json:"layers"`
	Standby bool           `json:"standby"` // no packet flows: the parent stands by
	Live    bool           `json:"live"`
	Path    []string       `json:"path"` // from the parent to the home
	Packets uint64         `json:"packets"`
	Bytes   uint64         `json:"bytes"`
}

// Status lists the links, those to parents first.
func (l *Links) Status() []LinkStatus {
	ups, downs := l.all()
	list := make([]LinkStatus, 0, len(ups)+len(downs))
	for _, u := range ups {
		s := u.status()
		for _, in := range u.list() {
			state, _, _ := in.answer()
			s.add(SubscriptionStatus{
				Room: in.track.ID().Room, Track: in.track.ID().Name, Origin: in.track.ID().Origin, Epoch: in.epoch,
				Layers: media.LayerSet(in.wants.Load()), Standby: in.standby.Load(), Live: state.Live, Path: state.Path,
				Packets: in.packets.Load(), Bytes: in.bytes.Load(),
			})
		}
		list = append(list, s)
	}
	for _, d := range downs {
		s := d.status()
		s.Queued = d.queue.waiting()
		s.Protected = d.guard.on.Load()
		if n := d.guard.data.Load(); n > 0 {
			s.Parity = float64(d.guard.parity.Load()) / float64(n)
		}
		for _, sub := range d.list() {
			s.add(sub.status())
		}
		list = append(list, s)
	}
	return list
}

func (s *LinkStatus) add(sub SubscriptionStatus) {
	s.Packets += sub.Packets
	s.Bytes += sub.Bytes
	s.Subscriptions = append(s.Subscriptions, sub)
}

func (s *serving) status() SubscriptionStatus {
	w, _ := s.down.links.ways.look(s.track)
	st := SubscriptionStatus{
		Room: s.room, Track: s.track.ID().Name, Origin: s.track.ID().Origin, Epoch: s.epoch, Live: s.track.State().Live, Path: w.path,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Layers, st.Standby = s.wants, s.standby
	for _, n := range s.lanes {
		st.Packets += n.packets.Load()
		st.Bytes += n.bytes.Load()
	}
	return st
}

func (l *link) status() LinkStatus {
	s := LinkStatus{
		Peer: l.peer, Direction: direction(l.up), Age: time.Since(l.born).Seconds(),
		RTT: time.Duration(l.rtt.Load()).Seconds() * 1e3, Offset: float64(l.offset.Load()) / 1e3,
	}
	for _, stripe := range *l.stripes.Load() {
		st := stripe.conn.ConnectionStats()
		s.Window += st.CongestionWindow
		s.Stripes++
	}
	s.Loss, _ = l.loss().share()
	return s
}

func compare(a, b *link) int { return strings.Compare(a.peer, b.peer) }
