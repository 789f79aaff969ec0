package main

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestContextEndsWithTheParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var pid atomic.Int64
		pid.Store(42)
		ctx = withParent(ctx, func() int { return int(pid.Load()) })
		time.Sleep(time.Hour)
		if ctx.Err() != nil {
			t.Fatal("it ended while the parent was there")
		}
		pid.Store(1)
		time.Sleep(2 * goRunPoll)
		if context.Cause(ctx) != errGoRun {
			t.Errorf("it ends with %v after the parent has", context.Cause(ctx))
		}
	})
}
