package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// The shape of what lyceum up --json prints.

// ready is the line.
type ready struct {
	Ready   bool        `json:"ready"`
	Room    string      `json:"room"`
	Data    string      `json:"data"`
	Nodes   []readyNode `json:"nodes"`
	Teacher teacherSeat `json:"teacher"`
	Student studentSeat `json:"student"`
}

type readyNode struct {
	ID     string `json:"id"`
	Region string `json:"region"`
	PID    int    `json:"pid"`
	URL    string `json:"url"`
	Admin  string `json:"admin"`
	Log    string `json:"log"`
}

type teacherSeat struct {
	WHIP  string `json:"whip"`
	Token string `json:"token"`
	Page  string `json:"page"`
}

type studentSeat struct {
	WHEP  string `json:"whep"`
	Token string `json:"token"`
	Page  string `json:"page"`
}

func (u *up) ready() ready {
	r := ready{Ready: true, Room: demoRoom, Data: u.dir}
	for i, s := range sites {
		r.Nodes = append(r.Nodes, readyNode{
			ID: s.ID, Region: s.Region, PID: u.nodes[i].cmd.Process.Pid, URL: u.mesh.url(i), Admin: u.mesh.admin(i),
			Log: u.children.logFile(s.ID),
		})
	}
	// The student starts at a node that is not the home, so that what they see has crossed the mesh.
	home, far := u.mesh.url(0), u.mesh.url(1)
	r.Teacher = teacherSeat{
		WHIP: home + "/whip/" + demoRoom, Token: u.teacher, Page: home + "/teach/" + demoRoom + "#token=" + u.teacher,
	}
	r.Student = studentSeat{
		WHEP: far + "/whep/" + demoRoom, Token: u.student, Page: far + "/watch/" + demoRoom + "#token=" + u.student,
	}
	return r
}

func (u *up) seatsFile() string { return filepath.Join(u.dir, "seats.txt") }

// writeSeats puts the tokens, which are too long to be copied from a terminal, into a file of the user's own.
func (u *up) writeSeats(s ready) error {
	if err := os.Remove(u.seatsFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace the seats of an earlier run: %w", err)
	}
	text := fmt.Sprintf(`Seats for a whole class in the room %s, until %s. Many connections may use one token at once.
Whoever reads this file may teach.

TEACHER
  page   %s
  whip   %s
  token  %s

STUDENT
  page   %s
  whep   %s
  token  %s

A teacher and twenty students without a browser:

lyceum publish %s --token %s

lyceum watch %s --token %s -n 20 --for 10s
`, s.Room, time.Now().Add(seatLife).Format("2 January 15:04"), s.Teacher.Page, s.Teacher.WHIP, s.Teacher.Token,
		s.Student.Page, s.Student.WHEP, s.Student.Token, s.Teacher.WHIP, s.Teacher.Token, s.Student.WHEP, s.Student.Token)
	return writeNew(u.seatsFile(), []byte(text), 0o600)
}
