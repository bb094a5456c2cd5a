// Package shared keeps values that what replaces each other has in common, as long as
// anything uses them. It imports nothing of the gateway.
package shared

import (
	"runtime"
	"sync"
	"weak"
)

// Values are values by their keys, such as connections that sets of rules have in common,
// so that a set takes over what the one before it knows. A value goes away when nothing
// uses it any longer. The zero value is ready for use, and safe for concurrent use.
type Values[K comparable, V any] struct {
	mu     sync.Mutex
	values map[K]weak.Pointer[V]
}

// Get returns the value, made when there is none.
func (s *Values[K, V]) Get(key K, create func() *V) *V {
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
