package fan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Turn is what one server did in one round.
type Turn struct {
	Server   string
	Students int
	Sink     string
	Began    time.Time

	// Join is the server's CPU time for each student's join.
	Join time.Duration
	// Idle is its CPU time in a second for all students, connected and without media.
	Idle time.Duration
	// Rates are the windows, in the order of the plan.
	Rates []Window
	// Resident and Settled are bytes of memory for each student, Goroutines how many there were for each.
	Resident, Settled, Goroutines float64
	// Ramp and Burst are nil where nobody joined.
	Ramp, Burst *Arrival
	// Checked, Decrypted and Broken are those of the students who decrypt, as Counts has them.
	Checked, Decrypted, Broken uint64
}

// Window is what was measured while media of one bitrate flowed.
type Window struct {
	Bitrate int
	For     time.Duration
	// User and System are the server's CPU time.
	User, System time.Duration
	// Mallocs is how often it took memory from the heap.
	Mallocs uint64
	// Published is what the publisher sent, Delivered what came to all students, Lost and Dropped as Counts has them.
	Published, Delivered, Lost uint64
	Dropped                    int64
	// Missing is what the students who decrypt, Checks of them, did not get, as Counts has it.
	Missing int64
	Checks  int
	// Live is how many students were connected at its end.
	Live int
}

// Arrival is what students were given who joined while others watched.
type Arrival struct {
	Bitrate int
	Every   time.Duration
	Joined
	// CPU is the server's, for all that it did meanwhile.
	CPU time.Duration
	// Lost is what those missed who watched already, Delivered what they got, Dropped as Counts has it.
	Lost, Delivered uint64
	Dropped         int64
	// Missing is what those of them did not get who decrypt, as Counts has it.
	Missing int64
	// Keyframes is how many the teacher was asked for, MostKeyframes how many in the worst second.
	Keyframes, MostKeyframes int
}

// run measures, and prints the tables.
func (p *Plan) run(ctx context.Context, out, progress io.Writer) error {
	var turns []Turn
	for round := range p.Rounds {
		for _, s := range p.Servers {
			fmt.Fprintf(progress, "round %d of %d: %s ... ", round+1, p.Rounds, s)
			began := time.Now()
			t, err := p.turn(ctx, s, progress)
			if err != nil {
				return fmt.Errorf("measure %s: %w", s, err)
			}
			fmt.Fprintf(progress, "%.0f s\n", time.Since(began).Seconds())
			turns = append(turns, t)
		}
	}
	if p.Results != "" {
		if err := save(p.Results, turns); err != nil {
			return err
		}
		var err error
		if turns, err = load(p.Results); err != nil {
			return err
		}
	}
	write(out, turns)
	return nil
}

// stage is a turn that is being measured.
type stage struct {
	// Set by turn, never changed.
	plan             *Plan
	name             string
	address          string
	server, students *child
	doors            Doors

	turn   Turn
	before Usage // before the first student
}

// turn starts a server, lets all come, and measures.
func (p *Plan) turn(ctx context.Context, name string, log io.Writer) (_ Turn, err error) {
	s := &stage{plan: p, name: name, turn: Turn{Server: name, Students: p.Students, Sink: p.Sink, Began: time.Now()}}
	dir, err := os.MkdirTemp("", "lyceum-fan-")
	if err != nil {
		return s.turn, fmt.Errorf("make a folder for the server: %w", err)
	}
	defer os.RemoveAll(dir)
	if s.students, err = spawn(log, "fan", "students"); err != nil {
		return s.turn, err
	}
	defer s.students.end()
	if err := s.students.call(ctx, "Students.Open", Opening{Sink: p.Sink, Checks: p.Check}, &s.address); err != nil {
		return s.turn, err
	}
	if s.server, err = spawn(log, "fan", "server"); err != nil {
		return s.turn, err
	}
	defer s.server.end()
	if err := s.server.call(ctx, "Server.Start", Begin{Kind: name, Address: s.address, Dir: dir}, &s.doors); err != nil {
		return s.turn, err
	}
	if err := s.gather(ctx); err != nil {
		return s.turn, err
	}
	return s.turn, s.media(ctx)
}

// gather lets all students join, and measures what that costs and what they cost while nothing happens.
func (s *stage) gather(ctx context.Context) (err error) {
	n := s.plan.Students
	if err := s.students.call(ctx, "Students.Prepare", n, &struct{}{}); err != nil {
		return err
	}
	if s.before, err = s.settle(ctx); err != nil {
		return err
	}
	from, err := s.usage(ctx)
	if err != nil {
		return err
	}
	var joined Joined
	if err := s.join(ctx, Joining{At: 16}, &joined); err != nil {
		return err
	}
	if joined.Failed > 0 {
		return fmt.Errorf("%d of %d students did not come: %s", joined.Failed, n, joined.Why)
	}
	// What a join leaves behind is a part of its cost.
	if err := pause(ctx, 500*time.Millisecond); err != nil {
		return err
	}
	to, err := s.usage(ctx)
	if err != nil {
		return err
	}
	s.turn.Join = (to.cpu() - from.cpu()) / time.Duration(n)
	began := time.Now()
	if err := pause(ctx, s.plan.Idle); err != nil {
		return err
	}
	rested, err := s.usage(ctx)
	if err != nil {
		return err
	}
	s.turn.Idle = time.Duration(float64(rested.cpu()-to.cpu()) / time.Since(began).Seconds())
	return nil
}

const (
	// ringSize is how many packets of each stream pion's responder keeps for each student.
	ringSize = 1024
	// fillRate is how many packets a second to all students together may leave a server that warms up. A server that has
	// more than it can send would measure its backlog afterwards; plain pion sends some 80,000 on one core.
	fillRate = 70_000
)

// media measures while a teacher publishes.
func (s *stage) media(ctx context.Context) error {
	p := s.plan
	starting, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	warm := paceOf(p.Rates[0]).filling(ringSize, p.Warm, fillRate/float64(p.Students))
	teacher, err := publish(starting, s.address, s.doors, warm)
	if err != nil {
		return err
	}
	defer teacher.close()
	if err := pause(ctx, p.Warm); err != nil {
		return err
	}
	for _, bitrate := range p.Rates {
		w, err := s.window(ctx, teacher, bitrate)
		if err != nil {
			return err
		}
		s.turn.Rates = append(s.turn.Rates, w)
	}
	if err := s.memory(ctx); err != nil {
		return err
	}
	if p.Ramp > 0 {
		if s.turn.Ramp, err = s.arrive(ctx, teacher, p.Ramp, Joining{Every: p.Every}); err != nil {
			return err
		}
	}
	if p.Burst > 0 {
		if s.turn.Burst, err = s.arrive(ctx, teacher, p.Burst, Joining{At: p.At}); err != nil {
			return err
		}
	}
	c, err := s.count(ctx)
	s.turn.Checked, s.turn.Decrypted, s.turn.Broken = c.Checked, c.Decrypted, c.Broken
	return err
}

// settling is how long media of a new pace flows before it is measured.
const settling = time.Second

// window measures one bitrate.
func (s *stage) window(ctx context.Context, teacher *publisher, bitrate int) (w Window, err error) {
	teacher.set(paceOf(bitrate))
	if err := pause(ctx, settling); err != nil {
		return w, err
	}
	if dir := s.plan.Profiles; dir != "" {
		file := filepath.Join(dir, fmt.Sprintf("%s-%d-%d.pprof", s.name, s.plan.Students, bitrate))
		if err := s.server.call(ctx, "Server.Profile", file, &struct{}{}); err != nil {
			return w, err
		}
		defer func() { err = errors.Join(err, s.server.call(ctx, "Server.Profile", "", &struct{}{})) }()
	}
	before, err := s.count(ctx)
	if err != nil {
		return w, err
	}
	from, err := s.usage(ctx)
	if err != nil {
		return w, err
	}
	began, published := time.Now(), teacher.packets()
	if err := pause(ctx, s.plan.For); err != nil {
		return w, err
	}
	to, err := s.usage(ctx)
	if err != nil {
		return w, err
	}
	w = Window{
		Bitrate: bitrate, For: time.Since(began), User: to.User - from.User, System: to.System - from.System,
		Mallocs: to.Mallocs - from.Mallocs, Published: teacher.packets() - published,
	}
	after, err := s.count(ctx)
	w.Delivered, w.Lost = after.packets()-before.packets(), after.Lost-before.Lost
	w.Dropped, w.Live = after.Dropped-before.Dropped, after.Live
	w.Missing, w.Checks = after.Missing-before.Missing, min(s.plan.Check, s.plan.Students)
	return w, err
}

// memory tells what a student takes.
func (s *stage) memory(ctx context.Context) error {
	now, err := s.usage(ctx)
	if err != nil {
		return err
	}
	settled, err := s.settle(ctx)
	if err != nil {
		return err
	}
	if dir := s.plan.Profiles; dir != "" {
		file := filepath.Join(dir, fmt.Sprintf("%s-%d-heap.pprof", s.name, s.plan.Students))
		if err := s.server.call(ctx, "Server.Heap", file, &struct{}{}); err != nil {
			return err
		}
	}
	n := float64(s.plan.Students)
	s.turn.Resident = float64(now.Resident-s.before.Resident) / n
	s.turn.Settled = float64(settled.Resident-s.before.Resident) / n
	s.turn.Goroutines = float64(now.Goroutines-s.before.Goroutines) / n
	return nil
}

// arrive lets n more join while the first students watch the first rate.
func (s *stage) arrive(ctx context.Context, teacher *publisher, n int, j Joining) (*Arrival, error) {
	teacher.set(paceOf(s.plan.Rates[0]))
	if err := s.students.call(ctx, "Students.Prepare", n, &struct{}{}); err != nil {
		return nil, err
	}
	if err := pause(ctx, settling); err != nil {
		return nil, err
	}
	a := &Arrival{Bitrate: s.plan.Rates[0], Every: j.Every}
	before, err := s.count(ctx)
	if err != nil {
		return nil, err
	}
	from, err := s.usage(ctx)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	j.Picture = true
	if err := s.join(ctx, j, &a.Joined); err != nil {
		return nil, err
	}
	to, err := s.usage(ctx)
	if err != nil {
		return nil, err
	}
	// What the newcomers set off may come a moment later, and a packet that is missing shows when the next one comes.
	if err := pause(ctx, settling); err != nil {
		return nil, err
	}
	after, err := s.count(ctx)
	if err != nil {
		return nil, err
	}
	a.CPU = to.cpu() - from.cpu()
	a.Lost, a.Delivered, a.Dropped = after.Lost-before.Lost, after.packets()-before.packets(), after.Dropped-before.Dropped
	a.Missing = after.Missing - before.Missing
	a.Keyframes, a.MostKeyframes = teacher.requests(began)
	return a, nil
}

func (s *stage) usage(ctx context.Context) (u Usage, err error) {
	return u, s.server.call(ctx, "Server.Usage", struct{}{}, &u)
}

func (s *stage) settle(ctx context.Context) (u Usage, err error) {
	return u, s.server.call(ctx, "Server.Settle", struct{}{}, &u)
}

// count counts what has come to the first students.
func (s *stage) count(ctx context.Context) (c Counts, err error) {
	return c, s.students.call(ctx, "Students.Count", s.plan.Students, &c)
}

func (s *stage) join(ctx context.Context, j Joining, r *Joined) error {
	j.URL, j.Token = s.doors.WHEP, s.doors.Students
	return s.students.call(ctx, "Students.Join", j, r)
}
