package cluster

import (
	"testing"
	"time"
)

func TestDebounce(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	for name, test := range map[string]struct {
		changes []int  // milliseconds after the start
		busy    [2]int // when something was done before them
		want    int
	}{
		"one":                    {changes: []int{0}, want: 50},
		"two that belong":        {changes: []int{0, 40}, want: 90},
		"more than it waits for": {changes: []int{0, 40, 80, 120, 160, 200, 240, 280, 320, 360, 400, 440, 480}, want: 500},
		"after short work":       {busy: [2]int{0, 10}, changes: []int{15}, want: 65},
		"after long work":        {busy: [2]int{0, 300}, changes: []int{310}, want: 600},
	} {
		t.Run(name, func(t *testing.T) {
			var d debounce
			if test.busy != [2]int{} {
				d.change(at(0))
				d.begin()
				d.end(at(test.busy[0]), at(test.busy[1]))
			}
			if _, ok := d.due(); ok {
				t.Error("something is due before a change")
			}
			for _, ms := range test.changes {
				d.change(at(ms))
			}
			if got, ok := d.due(); !ok || !got.Equal(at(test.want)) {
				t.Errorf("due after %v, %v; want %d ms", got.Sub(start), ok, test.want)
			}
			d.begin()
			if _, ok := d.due(); ok {
				t.Error("it is still due when it is done")
			}
		})
	}
}
