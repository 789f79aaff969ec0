package wish

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// iceOptions is what both an answer and the fragment of a restart say (RFC 8838 and RFC 8445).
const iceOptions = "trickle ice2"

// Answer completes an SDP answer as RFC 9725 wants it: rtcp-mux-only in each section with RTP, ice-options, and the
// candidates that matter, the most useful first. It returns an *Error with status 422 when the answer refuses a section,
// since a session is to be whole or not to be. To complete an answer twice changes nothing.
func Answer(answer string) (string, error) {
	session, sections := split(answer)
	if !slices.ContainsFunc(session, func(l string) bool { return strings.HasPrefix(l, "a=ice-options:") }) {
		session = append(session, "a=ice-options:"+iceOptions)
	}
	var b strings.Builder
	write := func(lines []string) {
		for _, l := range lines {
			b.WriteString(l)
			b.WriteString("\r\n")
		}
	}
	write(session)
	for _, s := range sections {
		if f := strings.Fields(s[0]); len(f) > 1 && f[1] == "0" {
			return "", refuse(http.StatusUnprocessableEntity, "the node has no codec in common with the %s section of the SDP offer",
				strings.TrimPrefix(f[0], "m="))
		}
		write(completeSection(s))
	}
	return b.String(), nil
}

// completeSection adds rtcp-mux-only behind rtcp-mux, and puts the candidates in order.
func completeSection(lines []string) []string {
	var candidates []candidate
	out := make([]string, 0, len(lines)+1)
	at := -1 // where the candidates stood
	has := slices.Contains(lines, "a=rtcp-mux-only")
	for _, l := range lines {
		if value, ok := strings.CutPrefix(l, "a=candidate:"); ok {
			if at < 0 {
				at = len(out)
			}
			// Component 2 has no meaning with rtcp-mux, and some clients stop at 8 kB of answer.
			if c, err := parseCandidate("candidate:" + value); err == nil && c.component == 1 {
				candidates = append(candidates, c)
			}
			continue
		}
		out = append(out, l)
		if l == "a=rtcp-mux" && !has {
			out = append(out, "a=rtcp-mux-only")
		}
	}
	slices.SortStableFunc(candidates, func(a, b candidate) int { return cmp.Compare(a.rank(), b.rank()) })
	for i, c := range candidates {
		out = slices.Insert(out, at+i, "a="+c.text)
	}
	return out
}

// split divides an SDP into the lines of the session and those of each section, which begin with "m=".
func split(text string) (session []string, sections [][]string) {
	for l := range strings.Lines(text) {
		l = strings.TrimRight(l, "\r\n")
		switch {
		case l == "":
		case strings.HasPrefix(l, "m="):
			sections = append(sections, []string{l})
		case len(sections) == 0:
			session = append(session, l)
		default:
			last := len(sections) - 1
			sections[last] = append(sections[last], l)
		}
	}
	return session, sections
}
