package ticket

// Role says what somebody is in a class.
type Role string

// The roles. A teacher or an assistant publishes and watches, everybody else watches; an admin also manages rooms.
const (
	Teacher   Role = "teacher"
	Assistant Role = "assistant"
	Student   Role = "student"
	Observer  Role = "observer"
	Recorder  Role = "recorder"
	Admin     Role = "admin"
)

// Valid reports whether r is one of the roles above.
func (r Role) Valid() bool {
	switch r {
	case Teacher, Assistant, Student, Observer, Recorder, Admin:
		return true
	}
	return false
}

// May reports whether the role allows the action.
func (r Role) May(a Action) bool {
	switch a {
	case Publish:
		return r == Teacher || r == Assistant
	case Watch:
		return r.Valid()
	}
	return false
}

// Action is what a ticket is for and what a handler asks for.
type Action string

// The actions: to send media into a room and to receive the room's media.
const (
	Publish Action = "publish"
	Watch   Action = "watch"
)

// Valid reports whether a is one of the actions above.
func (a Action) Valid() bool { return a == Publish || a == Watch }
