package origin

import "time"

// RoomStatus is one publisher of a room, for /status.
type RoomStatus struct {
	Room      string        `json:"room"`
	Source    Source        `json:"source"`
	Subject   string        `json:"subject"`
	Name      string        `json:"name,omitempty"`
	Since     time.Time     `json:"since"`
	Connected bool          `json:"connected"`
	Tracks    []TrackStatus `json:"tracks"`
}

// TrackStatus is one track of a publisher.
type TrackStatus struct {
	Name   string        `json:"name"`
	Codec  string        `json:"codec,omitempty"` // "" until its first packet
	Fmtp   string        `json:"fmtp,omitempty"`
	Layers []LayerStatus `json:"layers,omitempty"`
}

// LayerStatus is one simulcast layer of a track, or its sound.
type LayerStatus struct {
	RID              string `json:"rid,omitempty"`
	Width            uint16 `json:"width,omitempty"`
	Height           uint16 `json:"height,omitempty"`
	Bitrate          uint32 `json:"bitrate_bps"`
	Packets          uint64 `json:"packets"`
	Bytes            uint64 `json:"bytes"`
	Lost             uint64 `json:"lost"`
	Repaired         uint64 `json:"repaired"`
	KeyframeRequests uint64 `json:"keyframe_requests"`
}
