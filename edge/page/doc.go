// Package page serves the pages for teachers and students, embedded in the binary.
//
// The pages are written in TypeScript under web and built into dist, which is committed: a node needs Go alone to build
// and nothing but itself to show a class. README.md in this folder tells how they are made and why so.
package page
