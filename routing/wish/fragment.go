package wish

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Fragment is a trickle ICE SDP fragment (RFC 8840): credentials, candidates, or both.
type Fragment struct {
	// Ufrag and Pwd are the ICE credentials; both or neither are set.
	Ufrag, Pwd string
	// Candidates are usable candidates, each "candidate:..." as in SDP but without "a=".
	Candidates []string
	// End says that no more candidates will come.
	End bool
	// Mid and Media identify the media section that carries the transport, "0" and "audio 9 UDP/TLS/RTP/SAVPF 111" for
	// example. "" writes a fragment for mid 0.
	Mid, Media string
	// Options is the value of ice-options, "trickle ice2" for example.
	Options string
	// Lite says that the sender of the fragment is an ICE-lite agent.
	Lite bool
}

// ParseFragment reads what a client sent. It is lenient where clients differ: credentials may stand at either level, a
// candidate may be repeated in each section, and candidates that cannot be used are left out. What is not a fragment at
// all is an error.
func ParseFragment(body string) (Fragment, error) {
	var f Fragment
	known := false
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if len(line) < 2 || line[1] != '=' || line[0] < 'a' || line[0] > 'z' {
			return Fragment{}, fmt.Errorf("%.80q is not a line of SDP", line)
		}
		if m, ok := strings.CutPrefix(line, "m="); ok && f.Media == "" {
			f.Media = m
			continue
		}
		attribute, ok := strings.CutPrefix(line, "a=")
		if !ok {
			continue
		}
		did, err := f.attribute(attribute)
		if err != nil {
			return Fragment{}, err
		}
		known = known || did
	}
	switch {
	case !known:
		return Fragment{}, errors.New("the fragment holds neither credentials nor candidates")
	case (f.Ufrag == "") != (f.Pwd == ""):
		return Fragment{}, errors.New("the fragment holds one of ice-ufrag and ice-pwd without the other")
	}
	return f, nil
}

// attribute takes in one attribute, and reports whether it was one that means something in a fragment.
func (f *Fragment) attribute(a string) (bool, error) {
	key, value, _ := strings.Cut(a, ":")
	value = strings.TrimSpace(value)
	switch key {
	case "ice-ufrag":
		if err := checkCredential("ice-ufrag", value, 4); err != nil {
			return false, err
		}
		if f.Ufrag == "" {
			f.Ufrag = value
		}
	case "ice-pwd":
		if err := checkCredential("ice-pwd", value, 22); err != nil {
			return false, err
		}
		if f.Pwd == "" {
			f.Pwd = value
		}
	case "candidate":
		if value == "" {
			f.End = true // a browser's empty candidate, passed on as it came
			break
		}
		c, err := parseCandidate(a)
		if err != nil {
			return false, err
		}
		if !c.usable() || slices.Contains(f.Candidates, c.text) {
			break
		}
		if len(f.Candidates) == maxCandidates {
			return false, fmt.Errorf("the fragment has more than %d candidates", maxCandidates)
		}
		f.Candidates = append(f.Candidates, c.text)
	case "end-of-candidates":
		f.End = true
	case "mid":
		if f.Mid == "" {
			f.Mid = value
		}
		return false, nil
	case "ice-options":
		f.Options = value
		return false, nil
	case "ice-lite":
		f.Lite = true
		return false, nil
	default:
		return false, nil
	}
	return true, nil
}

// checkCredential holds RFC 8839, section 5.4: ice-char is a letter, a digit, "+" or "/". Some clients also use the
// alphabet of base64 for URLs.
func checkCredential(name, value string, least int) error {
	if len(value) < least || len(value) > 256 {
		return fmt.Errorf("%s must have %d to 256 characters", name, least)
	}
	for i := range len(value) {
		switch c := value[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '+', c == '/', c == '-', c == '_', c == '=':
		default:
			return fmt.Errorf("%s holds the character %q", name, c)
		}
	}
	return nil
}

// FragmentOf takes the ICE part out of an answer, completed by Answer or not: what Session.Restart returns.
func FragmentOf(answer string) (Fragment, error) {
	answer, err := Answer(answer)
	if err != nil {
		return Fragment{}, err
	}
	f, err := ParseFragment(answer)
	if err != nil {
		return Fragment{}, fmt.Errorf("read the answer's ICE part: %w", err)
	}
	return f, nil
}

// String writes the fragment as the body of a response.
func (f Fragment) String() string {
	var b strings.Builder
	line := func(parts ...string) {
		for _, p := range parts {
			b.WriteString(p)
		}
		b.WriteString("\r\n")
	}
	if f.Lite {
		line("a=ice-lite")
	}
	if f.Options != "" {
		line("a=ice-options:", f.Options)
	}
	mid, media := f.Mid, f.Media
	if mid == "" {
		mid = "0"
	}
	if media == "" {
		media = "audio 9 UDP/TLS/RTP/SAVPF 0"
	}
	line("a=group:BUNDLE ", mid)
	line("m=", media)
	line("a=mid:", mid)
	if f.Ufrag != "" {
		line("a=ice-ufrag:", f.Ufrag)
		line("a=ice-pwd:", f.Pwd)
	}
	for _, c := range f.Candidates {
		line("a=", c)
	}
	if f.End {
		line("a=end-of-candidates")
	}
	return b.String()
}

// Into returns an offer with the fragment's credentials and candidates in the place of its own: the offer of the next ICE
// generation, as a client would have sent it. The candidates stand in each section, whichever carries the transport.
func (f Fragment) Into(offer string) string {
	var b strings.Builder
	within := false
	for line := range strings.Lines(offer) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "m=") {
			if within {
				f.writeCandidates(&b)
			}
			within = true
		}
		switch {
		case strings.HasPrefix(line, "a=candidate:"), line == "a=end-of-candidates":
			continue
		case strings.HasPrefix(line, "a=ice-ufrag:"):
			line = "a=ice-ufrag:" + f.Ufrag
		case strings.HasPrefix(line, "a=ice-pwd:"):
			line = "a=ice-pwd:" + f.Pwd
		}
		b.WriteString(line)
		b.WriteString("\r\n")
	}
	if within {
		f.writeCandidates(&b)
	}
	return b.String()
}

func (f Fragment) writeCandidates(b *strings.Builder) {
	for _, c := range f.Candidates {
		b.WriteString("a=" + c + "\r\n")
	}
	if f.End {
		b.WriteString("a=end-of-candidates\r\n")
	}
}
