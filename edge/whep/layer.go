package whep

import (
	"encoding/json"
	"mime"
	"net/http"

	"lyceum/edge"
	"lyceum/routing/wish"
)

// choice is what a player wants of the picture: the fields of WHEP's layer selection that a node
// can follow, and two of our own. What is left out is left to the node.
type choice struct {
	RID       string `json:"rid"`
	Encoding  string `json:"encodingId"` // an older name of rid
	MaxWidth  int    `json:"maxWidth"`
	MaxHeight int    `json:"maxHeight"`
	// AudioOnly wants no picture.
	AudioOnly bool `json:"audioOnly"`
	// MaxBitrate bounds sound and picture together, in bits per second.
	MaxBitrate int `json:"maxBitrate"`
}

// shown is the answer: what is shown now, and what there is.
type shown struct {
	Picture string  `json:"picture"`
	Screen  bool    `json:"screen"` // a screen is shared in the room
	Layers  []layer `json:"layers"`
}

type layer struct {
	RID     string `json:"rid"`
	Width   uint16 `json:"width,omitempty"`
	Height  uint16 `json:"height,omitempty"`
	Bitrate uint32 `json:"bitrate,omitempty"`
	Active  bool   `json:"active"`
}

// Extend serves what a session has below its URL.
func (s *session) Extend(w http.ResponseWriter, r *http.Request, name string) error {
	switch name {
	case "layer":
		return s.layer(w, r)
	case "sse":
		return s.openEvents(w, r)
	case "events":
		return s.events(w, r)
	}
	return &wish.Error{Status: http.StatusNotFound, Detail: "a session has its layer selection and its events below it, and nothing else"}
}

// layer serves the layer selection of a session: GET tells what there is, POST chooses.
func (s *session) layer(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPost:
		if err := s.choose(w, r); err != nil {
			return err
		}
	default:
		w.Header().Set("Allow", "GET, HEAD, POST, OPTIONS")
		return &wish.Error{Status: http.StatusMethodNotAllowed, Detail: "a layer selection is read by GET and changed by POST"}
	}
	body, err := json.Marshal(s.shown())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // the player may be gone
	return nil
}

func (s *session) choose(w http.ResponseWriter, r *http.Request) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &wish.Error{Status: http.StatusUnsupportedMediaType, Detail: "the Content-Type must be application/json"}
	}
	body, err := wish.ReadBody(w, r)
	if err != nil {
		return err
	}
	var c choice
	if err := json.Unmarshal([]byte(body), &c); err != nil {
		return &wish.Error{Status: http.StatusBadRequest, Detail: "the body is not a JSON object that chooses a layer"}
	}
	if c.RID == "" {
		c.RID = c.Encoding
	}
	err = s.s.Prefer(edge.Wish{
		RID: c.RID, MaxWidth: c.MaxWidth, MaxHeight: c.MaxHeight, AudioOnly: c.AudioOnly, MaxBitrate: c.MaxBitrate,
	})
	if err != nil {
		return refusal(err)
	}
	return nil
}

func (s *session) shown() shown {
	out := shown{Picture: s.s.Showing().String(), Screen: s.s.Sharing(), Layers: []layer{}}
	for _, l := range s.s.Layers() {
		out.Layers = append(out.Layers, layer{l.RID, l.Width, l.Height, l.Bitrate, l.Bitrate > 1})
	}
	return out
}
