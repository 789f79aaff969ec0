package fan

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
)

// Usage is what a server process has used.
type Usage struct {
	// User and System are its CPU time since it began, by getrusage.
	User, System time.Duration
	// Resident is its resident memory in bytes, as the kernel has it.
	Resident int64
	// Heap is the live and not yet collected memory of Go's heap in bytes; Mallocs is how often it was taken from.
	Heap, Mallocs uint64
	// Goroutines is how many there are.
	Goroutines int
}

// cpu is the whole CPU time.
func (u Usage) cpu() time.Duration { return u.User + u.System }

// readUsage tells what this process has used.
func readUsage() (u Usage, err error) {
	if u.Resident, err = residentMemory(); err != nil {
		return u, err
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u.Heap, u.Mallocs, u.Goroutines = m.HeapAlloc, m.Mallocs, runtime.NumGoroutine()
	u.User, u.System, err = cpuTime()
	return u, err
}

// residentMemory reads VmRSS; 0 on systems without /proc.
func residentMemory() (int64, error) {
	text, err := os.ReadFile("/proc/self/status")
	if os.IsNotExist(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the memory of this process: %w", err)
	}
	_, rest, _ := bytes.Cut(text, []byte("VmRSS:"))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0, fmt.Errorf("read the memory of this process: there is no VmRSS in /proc/self/status")
	}
	kb, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read the memory of this process: %w", err)
	}
	return kb << 10, nil
}
