package fan

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cost is a turn in which a packet takes gross microseconds, one of them because of the students' idle cost.
func cost(server string, students int, gross float64) Turn {
	const packets = 10_000
	return Turn{
		Server: server, Students: students, Sink: sinkSocket, Idle: packets * time.Microsecond / 2, Join: 5 * time.Millisecond,
		Rates: []Window{{
			Bitrate: 500_000, For: 2 * time.Second, User: time.Duration(gross * packets * 300), System: time.Duration(gross * packets * 700),
			Delivered: packets, Published: packets / uint64(students), Missing: packets / int64(students) / 5, Checks: 2,
		}},
	}
}

func TestTablesCompareMedians(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results")
	behind := cost(serverNode, 2000, 1)
	behind.Rates[0].Published *= 2
	turns := []Turn{
		cost(serverNode, 200, 2), cost(serverPion, 200, 20), cost(serverBare, 200, 11), cost(serverNode, 200, 100), cost(serverNode, 200, 3),
		cost(serverNode, 1000, 4), behind,
	}
	if err := save(file, turns[:2]); err != nil {
		t.Fatal(err)
	}
	if err := save(file, turns[2:]); err != nil {
		t.Fatal(err)
	}
	all, err := load(file)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	write(&b, all)
	for _, want := range []string{
		"| lyceum | 200 | socket | 500 kbps | 3.00 (2.00-100) | 2.00 (1.00-99.00) | 0.90 | 5000 | 100 | 0.00 (0.00-0.00) | 10.00 (10.00-10.00) | 0 | 0.00 | 3 |",
		"| pion to lyceum | 200 | socket | 500 kbps | 6.67 [4] | 9.50 |",
		"| bare to lyceum | 200 | socket | 500 kbps | 3.67 [2.7] | 5.00 |",
		"| 5000 | 50.00 ! |",
		"| 1000 students to 200 | 1000 | socket | 500 kbps | 1.33 [1.1] | 1.50 |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("there is no line %s", want)
		}
	}
	if strings.Contains(b.String(), "| 2000 students to") {
		t.Error("a server that does not keep up is compared")
	}
	if t.Failed() {
		t.Log(b.String())
	}
}

func TestRatesAreRead(t *testing.T) {
	for s, want := range map[string]int{"500k": 500_000, "2.5M": 2_500_000, "64000": 64_000, "": 0, "2G": 0, "-1k": 0, "k": 0} {
		if got, err := parseRate(s); got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v", s, got, err)
		}
	}
}
