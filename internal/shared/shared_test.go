package shared

import (
	"runtime"
	"testing"
	"time"
)

// TestValues holds that there is one value of a key as long as it is used, and that nothing
// is left of it afterwards.
func TestValues(t *testing.T) {
	var values Values[string, [64]byte]
	created := 0
	create := func() *[64]byte { created++; return new([64]byte) }
	one, other := values.Get("a", create), values.Get("a", create)
	if one != other || created != 1 {
		t.Fatalf("created %d times", created)
	}
	if values.Get("b", create) == one {
		t.Error("two keys have one value")
	}
	runtime.KeepAlive(one)
	for range 500 {
		runtime.GC()
		values.mu.Lock()
		left := len(values.values)
		values.mu.Unlock()
		if left == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("values stay that nothing uses")
}
