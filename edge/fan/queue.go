package fan

const (
	// maxMessages is how many trains go in one system call. Beyond 64 the cost of the call is spread thin enough
	// (measured: 905 ns a packet with 64, 859 with 256).
	maxMessages = 64
	// maxTrain is how many packets leave for one student back to back. A longer train overruns the queues of the last mile.
	maxTrain = 10
	// arenaSize is the memory of a queue in bytes: some 16 trains of ten full packets, which fits a core's own cache.
	arenaSize = 192 << 10
	// MaxPacket is the largest packet that a queue takes, in bytes: header, extension, payload, padding and tag.
	MaxPacket = 1536
)

// queue is the packets that are to leave by one socket. When it is full it is flushed; nothing is dropped for want of room.
type queue struct {
	// Set by newQueue, never changed.
	conn *Conn

	arena    []byte
	used     int
	messages []message
	out      outgoing // what the system call is given
	count    tally
}

// message is a train: packets for one address, side by side in the arena. All are of one size; the last may be shorter.
type message struct {
	path    Path
	from    int // its place in the arena
	size    int
	segment int // the size of one packet
	packets int
	closed  bool // the last packet is shorter, or trains are refused
}

// tally counts what became of the packets of a flush.
type tally struct{ packets, messages, calls, waits, refused, full, failed int }

func newQueue(c *Conn) *queue {
	q := &queue{conn: c, arena: make([]byte, arenaSize), messages: make([]message, 0, maxMessages)}
	q.out.init(q)
	return q
}

// room returns memory for a packet of at most MaxPacket bytes. What is written there counts only after add.
func (q *queue) room() []byte {
	if q.used+MaxPacket > len(q.arena) || len(q.messages) == maxMessages {
		q.flush()
	}
	return q.arena[q.used : q.used+MaxPacket : q.used+MaxPacket]
}

// add takes the first n bytes of room as a packet for p: as one more of the last train if it fits there.
func (q *queue) add(p *Path, n int) {
	from := q.used
	q.used += n
	if last := len(q.messages) - 1; last >= 0 {
		m := &q.messages[last]
		if !m.closed && n <= m.segment && m.packets < maxTrain && m.path.to == p.to {
			m.size += n
			m.packets++
			m.closed = n < m.segment
			return
		}
	}
	q.messages = append(q.messages, message{
		path: *p, from: from, size: n, segment: n, packets: 1, closed: !q.conn.trains.Load(),
	})
}

// flush sends everything.
func (q *queue) flush() {
	if len(q.messages) == 0 {
		return
	}
	q.count = tally{}
	q.send()
	q.conn.metrics.add(&q.count)
	q.messages, q.used = q.messages[:0], 0
}
