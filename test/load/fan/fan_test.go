package fan

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain lets this program be the processes that it starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "fan" {
		var err error
		switch os.Args[2] {
		case "server":
			err = (&Server{}).serve()
		case "students":
			err = (&Students{}).serve()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestEveryServerReachesAllStudents measures each server with a few students on loopback, and holds what was counted
// against what was published.
func TestEveryServerReachesAllStudents(t *testing.T) {
	for _, name := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := Plan{
				Students: 3, Rates: []int{300_000}, Sink: sinkSocket, Idle: time.Second, Warm: time.Second, For: time.Second, Check: 2,
				Ramp: 1, Every: time.Millisecond, Burst: 2,
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			r, err := p.turn(ctx, name, t.Output())
			if err != nil {
				t.Fatal(err)
			}
			w := r.Rates[0]
			// The two counts are not taken at one moment: some frames may be on their way.
			if want := 3 * w.Published; w.Delivered < want*8/10 || w.Delivered > want*12/10 {
				t.Errorf("%d packets came to 3 students, and %d were published", w.Delivered, w.Published)
			}
			if w.Lost > 0 || w.Missing > 0 || w.Live != 3 {
				t.Errorf("%d packets were lost, %d left out, %d students are connected", w.Lost, w.Missing, w.Live)
			}
			if r.Checked == 0 || r.Decrypted < r.Checked*9/10 || r.Decrypted > r.Checked || r.Broken > 0 {
				t.Errorf("%d packets counted, %d decrypted, %d broken", r.Checked, r.Decrypted, r.Broken)
			}
			for _, a := range []*Arrival{r.Ramp, r.Burst} {
				if a.Failed > 0 || a.Lost > 0 || a.Missing > 0 || a.Delivered == 0 {
					t.Errorf("a join failed or disturbed the others: %+v", a)
				}
			}
			if r.Join <= 0 || w.User+w.System <= 0 || strings.Contains(fmt.Sprint(r), "NaN") {
				t.Errorf("no CPU was measured: %+v", r)
			}
		})
	}
}
