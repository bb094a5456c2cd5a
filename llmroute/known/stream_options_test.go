package known

import (
	"fmt"
	"testing"
	"time"
)

func TestRejectedStreamOptionsAreBounded(t *testing.T) {
	var s StreamOptions
	now := time.Now()
	for i := range 10 * maxRejected {
		now = now.Add(time.Millisecond)
		if !s.Reject(fmt.Sprint(i), now) || s.Reject(fmt.Sprint(i), now) {
			t.Fatal("a model is not noted once")
		}
	}
	if len(s.rejected) != maxRejected || !s.Rejects(fmt.Sprint(10*maxRejected-1), now) || s.Rejects("0", now) {
		t.Errorf("%d models are kept, or not the latest", len(s.rejected))
	}
	s.Reject("new", now.Add(RejectedExpiry))
	if len(s.rejected) != 1 || s.Rejects(fmt.Sprint(10*maxRejected-1), now.Add(RejectedExpiry)) {
		t.Errorf("%d models are kept, want 1", len(s.rejected))
	}
}
