package inflight

import (
	"slices"
	"sync"
	"testing"
)

type request struct {
	name  int
	place Place[request]
}

// TestSet holds that a set has what was added and not removed, in whatever order, and from
// several goroutines.
func TestSet(t *testing.T) {
	var s Set[request]
	all := make([]request, 8*shards)
	var wait sync.WaitGroup
	for i := range all {
		all[i].name = i
		wait.Go(func() { s.Add(&all[i].place, &all[i]) })
	}
	wait.Wait()
	check := func(step int) {
		t.Helper()
		var got, want []int
		s.Each(func(r *request) { got = append(got, r.name) })
		slices.Sort(got)
		for i := 0; i < len(all); i += step {
			want = append(want, i)
		}
		if !slices.Equal(got, want) || s.Count() != len(want) {
			t.Errorf("there are %v, or %d, want %v", got, s.Count(), want)
		}
	}
	check(1)
	for i := range all {
		if i%3 != 0 {
			wait.Go(func() { s.Remove(&all[i].place) })
		}
	}
	wait.Wait()
	check(3)
	for i := 0; i < len(all); i += 3 {
		s.Remove(&all[i].place)
	}
	if s.Count() != 0 {
		t.Errorf("%d are left", s.Count())
	}
}
