package sim

import (
	"sync"
	"time"
)

// deadline is a moment after which those who wait on cond give up. All of it is guarded by cond's lock.
type deadline struct {
	passed bool
	timer  *time.Timer
}

// setLocked moves the deadline; the zero time removes it.
func (d *deadline) setLocked(cond *sync.Cond, at time.Time) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.passed = false
	if at.IsZero() {
		return
	}
	wait := time.Until(at)
	if wait <= 0 {
		d.passed = true
		cond.Broadcast()
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		cond.L.Lock()
		defer cond.L.Unlock()
		if d.timer == timer { // else it was moved meanwhile
			d.passed = true
			cond.Broadcast()
		}
	})
	d.timer = timer
}
