package node

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fold is a crowd that remembers when each went.
type fold struct {
	left  atomic.Int32
	stuck atomic.Bool
	went  []time.Time
}

func (f *fold) crowd() crowd {
	return crowd{
		staying: func() int { return int(f.left.Load()) },
		send: func() bool {
			if f.left.Load() == 0 {
				return false
			}
			f.left.Add(-1)
			f.went = append(f.went, time.Now())
			return true
		},
		able: func() bool { return !f.stuck.Load() },
	}
}

func TestWavesEmptyACrowdEvenlyByTheGivenMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fold{}
		f.left.Store(600)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		began := time.Now()
		go f.crowd().empty(ctx, began.Add(60*time.Second))
		time.Sleep(60 * time.Second)
		synctest.Wait()
		if f.left.Load() != 0 {
			t.Fatalf("%d are still here", f.left.Load())
		}
		seconds := map[int]int{}
		moments := map[time.Duration]bool{}
		for _, at := range f.went {
			seconds[int(at.Sub(began)/time.Second)]++
			moments[at.Sub(began)%time.Second] = true
		}
		for second, n := range seconds {
			if n > 11 {
				t.Errorf("%d went within second %d, want some 10", n, second)
			}
		}
		if f.went[0].Sub(began) > 2*time.Second || len(seconds) < 55 {
			t.Errorf("the first went after %v, and all within %d seconds, want them to use the time", f.went[0].Sub(began), len(seconds))
		}
		if len(moments) < 300 {
			t.Errorf("they went at %d different moments of a second only", len(moments))
		}
	})
}

func TestSmallClassDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fold{}
		f.left.Store(5)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go f.crowd().empty(ctx, time.Now().Add(10*time.Minute))
		time.Sleep(5 * waveTime)
		synctest.Wait()
		if f.left.Load() != 0 {
			t.Errorf("%d of 5 are still here after five waves", f.left.Load())
		}
		f.left.Store(3) // some come late
		time.Sleep(4 * waveTime)
		synctest.Wait()
		if f.left.Load() != 0 {
			t.Errorf("%d who came late are still here", f.left.Load())
		}
	})
}

func TestNobodyIsSentAwayWhileNobodyCanTakeThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fold{}
		f.left.Store(100)
		f.stuck.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go f.crowd().empty(ctx, time.Now().Add(10*time.Second))
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if f.left.Load() != 100 {
			t.Errorf("%d were sent to nobody", 100-f.left.Load())
		}
		f.stuck.Store(false)
		time.Sleep(2 * waveTime)
		synctest.Wait()
		if f.left.Load() != 0 {
			t.Errorf("%d are still here after the time and with somebody who takes them", f.left.Load())
		}
	})
}
