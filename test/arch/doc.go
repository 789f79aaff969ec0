// Package arch checks the tree itself: imports point down, every package has its sentence, files stay small.
//
// It has no code but its tests. A failure says what to change, here or there: a rule that no longer serves is changed
// in this package, in the same commit as the code that needs it.
package arch
