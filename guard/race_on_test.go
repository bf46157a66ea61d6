//go:build race

package guard_test

// raced: the race detector makes sync.Pool forget at random, so allocations
// cannot be counted.
const raced = true
