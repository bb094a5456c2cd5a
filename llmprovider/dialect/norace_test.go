//go:build !race

package dialect_test

// raceDetector reports whether the race detector is on.
const raceDetector = false
