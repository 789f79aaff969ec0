package ticket

// AnyRoom as the room of a token opens every room. No ticket has it.
const AnyRoom = "*"

// maxRoom is the longest room name: it fits a path segment, a file name and a line of a table.
const maxRoom = 64

// ValidRoom returns ErrRoomName unless the name can be a room's: letters, digits, hyphens and underscores of ASCII, so
// that it reads the same in a URL, in a file name and aloud.
func ValidRoom(name string) error {
	if len(name) == 0 || len(name) > maxRoom {
		return ErrRoomName
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return ErrRoomName
		}
	}
	return nil
}
