package client

import (
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	// histogramUnit is the finest step of a histogram.
	histogramUnit = 100 * time.Microsecond
	// histogramMax is the longest time that a histogram tells apart; longer ones count as this long.
	histogramMax = time.Minute
	// histogramFine is the number of steps in each doubling, so that a percentile is right to 1/64, 1.6 %.
	histogramFine = 64
	// histogramSize covers 60 s / 0.1 ms = 600,000 < 2^20 units: 64 single steps, then 14 doublings.
	histogramSize = histogramFine * 15
)

// histogram counts durations in a fixed number of steps. The zero value is empty; it may be used by many goroutines.
type histogram struct {
	counts [histogramSize]atomic.Uint64
	total  atomic.Uint64
}

// add counts one duration; a negative one, as unequal clocks give, counts as none.
func (h *histogram) add(d time.Duration) {
	h.counts[histogramStep(uint64(min(max(d, 0), histogramMax)/histogramUnit))].Add(1)
	h.total.Add(1)
}

// percentile returns the duration that a part of all, 0.95 for example, does not exceed; 0 when nothing was counted.
func (h *histogram) percentile(part float64) time.Duration {
	total := h.total.Load()
	if total == 0 {
		return 0
	}
	rank := max(uint64(part*float64(total)+0.5), 1)
	var seen uint64
	for i := range h.counts {
		if seen += h.counts[i].Load(); seen >= rank {
			return histogramValue(i)
		}
	}
	return histogramMax
}

// histogramStep is the place where a number of units is counted: exact below histogramFine, then by its leading bits.
func histogramStep(units uint64) int {
	if units < histogramFine {
		return int(units)
	}
	shift := bits.Len64(units) - 7 // leaves 64..127
	return (shift+1)*histogramFine + int(units>>shift) - histogramFine
}

// histogramValue is the middle of what is counted at a step.
func histogramValue(step int) time.Duration {
	if step < histogramFine {
		return time.Duration(step) * histogramUnit
	}
	shift := step/histogramFine - 1
	low := time.Duration(step%histogramFine+histogramFine) << shift
	return low*histogramUnit + histogramUnit*(1<<shift)/2
}
