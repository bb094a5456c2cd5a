package receive

import (
	"testing"
)

func TestReadsLikeEvents(t *testing.T) {
	for text, want := range map[string]bool{
		"data: x": true, "data:x": true, ":": true, "event: a": true, "id:1": true, "retry: 1": true, "\ufeff\r\n\ndata:": true,
		"{}": false, "data x": false, "database": false, "<html>": false, "[": false, "x": false, "even": false, "\ufeff": false, "": false, "\n\n": false,
	} {
		like := false
		for n := range len(text) + 1 {
			var certain bool
			if like, certain = readsLikeEvents([]byte(text[:n])); certain {
				break
			}
			if like {
				t.Errorf("%q is taken for events, but not for certain", text[:n])
			}
		}
		if like != want {
			t.Errorf("%q reads like events: %v, want %v", text, like, want)
		}
	}
}
