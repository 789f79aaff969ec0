// Package up starts lyceum up as real processes for tests, and tests what only real processes show.
package up
