package browser

import (
	"os"
	"testing"
)

// laboratory skips what depends on how much of the machine a browser and three nodes get, unless LYCEUM_LABORATORY is set: it is for
// a machine that does nothing else. The same is tested without a browser, in simulated time or on real processes.
func laboratory(t testing.TB) {
	t.Helper()
	if os.Getenv("LYCEUM_LABORATORY") == "" {
		t.Skip("set LYCEUM_LABORATORY=1 on a machine that does nothing else")
	}
}
