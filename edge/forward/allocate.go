package forward

// AudioOnly is the network, in bits per second, below which a subscriber gets sound and no picture: a picture squeezed into
// less is of no use and takes the sound with it.
const AudioOnly = 150_000

// Class says what a track is to a subscriber. The smaller, the more important.
type Class uint8

const (
	// Speech is the teacher's voice. It is always served.
	Speech Class = iota
	// TalkBack is the voice of a student who has the floor.
	TalkBack
	// Slides is a shared screen.
	Slides
	// Camera is the teacher's face.
	Camera

	classes
)

// sound reports whether a class is heard and not seen.
func (c Class) sound() bool { return c < Slides }

// Want is one track that a subscriber could get.
type Want struct {
	Class Class
	// Rates is what each layer needs in bits per second, from the worst to the best. Sound has one.
	Rates []float64
}

// Margin is by what the needs of pictures are multiplied before they are compared with what there is.
type Margin struct {
	// Lowest is for the lowest layer of a picture, Upper for all others.
	Lowest, Upper float64
}

// Allocate divides what a network carries, in bits per second, among tracks: how many layers of each the subscriber can
// have, 0 for nothing of it, goes to granted, which is as long as wants. The teacher's voice comes first, whatever there is;
// then talk-back, then the lowest layer of the slides and of the camera, then what more of the slides fits, then of the
// camera. Below AudioOnly there is no picture.
func Allocate(budget float64, wants []Want, margin Margin, granted []int) {
	left := budget
	for class := range classes {
		for i := range wants {
			if w := &wants[i]; w.Class == class {
				granted[i] = first(w, budget, &left, margin)
			}
		}
	}
	for class := Slides; class < classes; class++ {
		for i := range wants {
			w := &wants[i]
			for w.Class == class && granted[i] > 0 && granted[i] < len(w.Rates) {
				more := margin.cost(w, granted[i]+1) - margin.cost(w, granted[i])
				if more > left {
					break
				}
				left -= more
				granted[i]++
			}
		}
	}
}

// first grants the lowest layer of a track, or all of a voice.
func first(w *Want, budget float64, left *float64, margin Margin) int {
	if len(w.Rates) == 0 {
		return 0
	}
	need := margin.cost(w, 1)
	if w.Class != Speech && need > *left || !w.Class.sound() && budget < AudioOnly {
		return 0
	}
	*left -= need
	return 1
}

// cost is what so many layers of a track, at least one, are taken to need.
func (m Margin) cost(w *Want, layers int) float64 {
	switch need := w.Rates[layers-1]; {
	case w.Class.sound():
		return need
	case layers == 1:
		return need * m.Lowest
	default:
		return need * m.Upper
	}
}
