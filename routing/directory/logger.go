package directory

import (
	"context"
	"io"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// newLogger carries Raft's lines into a structured log. They are for debugging, but for the errors, which get the given
// level: what an operator needs to know of is logged by this package in its own words.
func newLogger(l *slog.Logger, errors slog.Level) hclog.Logger {
	h := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Off})
	h.RegisterSink(sink{l, errors})
	return h
}

type sink struct {
	log    *slog.Logger
	errors slog.Level
}

// Accept takes a line.
func (s sink) Accept(_ string, level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	if level >= hclog.Error {
		to = s.errors
	}
	if ctx := context.Background(); s.log.Enabled(ctx, to) {
		s.log.Log(ctx, to, "raft: "+msg, args...)
	}
}
