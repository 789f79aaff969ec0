// Package story holds what must be seen of a class from end to end, as stories on a simulated network.
package story
