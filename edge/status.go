package edge

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"lyceum/mesh/media"
)

// counts is what a leg has done.
type counts struct {
	packets, bytes uint64 // media
	resent, probes uint64 // packets on top of it
	extra          uint64 // bytes on the repair stream
	pleas          uint64
}

// all is how many bytes of payload and padding were sent.
func (c *counts) all() uint64 { return c.bytes + c.extra }

// RoomStatus is a room as /status shows it.
type RoomStatus struct {
	Room     string `json:"room"`
	Students int    `json:"students"`
	// Layers is how many students get each layer of the camera.
	Layers []int `json:"layers"`
	// Delays are how old the frames are when they leave, by track, in milliseconds from their arrival at the node where the
	// track was born. Without an entry it is not known.
	Delays map[string]float64 `json:"delay_ms,omitempty"`
	// Packets and Bytes went to the students who are here now.
	Packets     uint64  `json:"packets"`
	Bytes       uint64  `json:"bytes"`
	Subscribers []Stats `json:"subscribers"`
}

// Stats is a subscriber as /status shows it.
type Stats struct {
	Subject string    `json:"subject"`
	Name    string    `json:"name,omitempty"`
	Since   time.Time `json:"since"`
	State   string    `json:"state"`
	Video   *LegStats `json:"video,omitempty"`
	Audio   *LegStats `json:"audio,omitempty"`
	// Screen and ScreenSound are those that the student has beside Video and Audio, if it asked for two of a kind.
	Screen      *LegStats `json:"screen,omitempty"`
	ScreenSound *LegStats `json:"screen_sound,omitempty"`
}

// LegStats is one track on its way to a subscriber.
type LegStats struct {
	// Track is the one that the subscriber gets.
	Track string `json:"track"`
	// Playing is false while the subscriber waits for the teacher or for a keyframe; Layer then means nothing.
	// Of a stream with several levels in one layer (SVC), Layer and Target are levels.
	Playing bool        `json:"playing"`
	Layer   media.Layer `json:"layer"`
	// Target is the layer that the subscriber is to get.
	Target media.Layer `json:"target"`
	// Unserved says that the subscriber has no codec for what the teacher sends.
	Unserved bool   `json:"unserved,omitempty"`
	Packets  uint64 `json:"packets"`
	Bytes    uint64 `json:"bytes"`
	// Resent counts the packets that the subscriber missed and got again.
	Resent uint64 `json:"resent"`
	// Pleas counts the requests for a keyframe.
	Pleas uint64 `json:"pleas"`
	// Lost is the fraction lost on the way from here, by the last report.
	Lost float64 `json:"lost"`
	// Limit is what the player says it can take, in bits per second; 0 if it does not say.
	Limit float64 `json:"limit_bps,omitempty"`
	// Estimate is what the network is thought to carry, in bits per second; 0 while it has shown no limit.
	Estimate float64 `json:"estimate_bps,omitempty"`
	// Probes counts the packets that were sent to find out whether it carries more.
	Probes uint64 `json:"probes,omitempty"`
	// Off says that the subscriber gets no picture: its network does not carry one, or it wants none.
	Off bool `json:"off,omitempty"`
}

func (l *leg) stats() *LegStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	layer, playing := l.selector.Playing()
	target := l.selector.Target()
	if l.svc {
		top := uint8(len(l.order) - 1)
		layer, target = media.Layer(min(l.levels.Level(), top)), media.Layer(min(l.levels.Target(), top))
	}
	return &LegStats{
		Track: l.at.Load().track.ID().Name, Playing: playing, Layer: layer, Target: target, Unserved: l.source != 0 && l.codec == nil,
		Packets: l.counts.packets, Bytes: l.counts.bytes, Resent: l.counts.resent, Pleas: l.counts.pleas,
		Lost: l.heard.lost, Limit: l.heard.estimate, Estimate: l.net.known(), Probes: l.counts.probes, Off: l.picture.off,
	}
}

// Stats says how the subscriber fares.
func (s *Subscriber) Stats() Stats {
	st := Stats{Subject: s.rq.Subject, Name: s.rq.Name, Since: s.since, State: s.pc.ConnectionState().String()}
	for i, l := range s.legs {
		switch s.parts[i].name {
		case media.Screen:
			st.Screen = l.stats()
		case media.ScreenSound:
			st.ScreenSound = l.stats()
		case media.Microphone:
			st.Audio = l.stats()
		default:
			st.Video = l.stats()
		}
	}
	return st
}

// Status lists the rooms that are served here, and their students in the order of their arrival.
func (e *Edge) Status() []RoomStatus {
	e.mu.Lock()
	rooms := make(map[string][]*Subscriber, len(e.rooms))
	delays := make(map[string]map[string]float64, len(e.rooms))
	for s := range e.subscribers {
		rooms[s.rq.Room] = append(rooms[s.rq.Room], s)
		delays[s.rq.Room] = s.room.delaysLocked()
	}
	e.mu.Unlock()
	list := make([]RoomStatus, 0, len(rooms))
	for name, subscribers := range rooms {
		r := RoomStatus{Room: name, Students: len(subscribers), Layers: make([]int, media.MaxLayers), Delays: delays[name]}
		for _, s := range subscribers {
			r.add(s.Stats())
		}
		slices.SortFunc(r.Subscribers, func(a, b Stats) int {
			return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.Subject, b.Subject))
		})
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b RoomStatus) int { return strings.Compare(a.Room, b.Room) })
	return list
}

func (r *RoomStatus) add(s Stats) {
	r.Subscribers = append(r.Subscribers, s)
	for _, l := range []*LegStats{s.Video, s.Audio, s.Screen, s.ScreenSound} {
		if l != nil {
			r.Packets += l.Packets
			r.Bytes += l.Bytes
		}
	}
	if s.Video != nil && s.Video.Playing {
		r.Layers[s.Video.Layer]++
	}
}
