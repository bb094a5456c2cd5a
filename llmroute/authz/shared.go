package authz

import (
	"runtime"
	"sync"
	"weak"
)

// shared are values that sets of authorization rules have in common, so that a
// set takes over what the one before it knows. A value goes away when no set
// uses it any longer.
type shared[K comparable, V any] struct {
	mu     sync.Mutex
	values map[K]weak.Pointer[V]
}

// get returns the value, made when there is none.
func (s *shared[K, V]) get(key K, create func() *V) *V {
	s.mu.Lock()
	defer s.mu.Unlock()
	if value := s.values[key].Value(); value != nil {
		return value
	}
	value := create()
	pointer := weak.Make(value)
	if s.values == nil {
		s.values = make(map[K]weak.Pointer[V])
	}
	s.values[key] = pointer
	runtime.AddCleanup(value, func(key K) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.values[key] == pointer { // and not one that was made since
			delete(s.values, key)
		}
	}, key)
	return value
}
