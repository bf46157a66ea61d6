//go:build race

package wire_test

// The race detector drops at random what pools hold.
const raceEnabled = true
