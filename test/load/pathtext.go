package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parsePath reads changes of a path such as "delay=50ms loss=1% burst=3 rate=10M queue=100ms", in any order. What is
// not named stays.
func parsePath(words []string) (func(p *Path), error) {
	var changes []func(p *Path)
	for _, w := range words {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not like delay=50ms", w)
		}
		var set func(p *Path)
		var err error
		switch key {
		case "delay", "jitter", "queue", "held":
			var d time.Duration
			if d, err = time.ParseDuration(value); err == nil {
				set = func(p *Path) {
					switch key {
					case "delay":
						p.Delay = d
					case "jitter":
						p.Jitter = d
					case "queue":
						p.Queue = d
					case "held":
						p.ReorderBy = d
					}
				}
			}
		case "loss", "reorder":
			var share float64
			percent, isPercent := strings.CutSuffix(value, "%")
			if share, err = strconv.ParseFloat(percent, 64); isPercent {
				share /= 100
			}
			set = func(p *Path) {
				if key == "loss" {
					p.Loss = share
				} else {
					p.Reorder = share
				}
			}
		case "burst":
			var n float64
			n, err = strconv.ParseFloat(value, 64)
			set = func(p *Path) { p.Burst = n }
		case "rate":
			var rate int64
			mega, isMega := strings.CutSuffix(value, "M")
			if rate, err = strconv.ParseInt(mega, 10, 64); isMega {
				rate *= 1_000_000
			}
			set = func(p *Path) { p.Rate = rate }
		default:
			return nil, fmt.Errorf("a path has delay, jitter, loss, burst, reorder, held, rate and queue, but no %q", key)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w, err)
		}
		changes = append(changes, set)
	}
	change := func(p *Path) {
		for _, c := range changes {
			c(p)
		}
	}
	var trial Path
	change(&trial)
	return change, trial.Validate()
}
