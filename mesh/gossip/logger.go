package gossip

import (
	"bytes"
	"context"
	"log"
	"log/slog"
)

// newLogger carries memberlist's lines into a structured log. They are for debugging but for the errors: what an
// operator needs to know of is logged by this package in its own words.
func newLogger(l *slog.Logger) *log.Logger { return log.New(lines{l}, "", 0) }

type lines struct{ log *slog.Logger }

// Write takes one line.
func (w lines) Write(b []byte) (int, error) {
	level, text := slog.LevelDebug, bytes.TrimSpace(b)
	if rest, ok := bytes.CutPrefix(text, []byte("[ERR] ")); ok {
		level, text = slog.LevelWarn, rest
	} else if i := bytes.IndexByte(text, ']'); len(text) > 0 && text[0] == '[' && i > 0 {
		text = bytes.TrimSpace(text[i+1:])
	}
	w.log.Log(context.Background(), level, string(text))
	return len(b), nil
}
