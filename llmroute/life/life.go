// Package life ends modules that were made for objects of a source once nothing uses them:
// no snapshot, and no request that was begun with one.
//
// It imports nothing of the gateway. Begin with Life, then Generation.
package life

import "sync/atomic"

// Life is how long a module is in use that was made for an object of a source: by the
// snapshots that it is in, and by the requests that were begun with one of them. When
// the last of them has let go, its context is cancelled and it is cleaned up. It is nil
// for what is in Caddy's configuration, and ends with that.
type Life struct {
	users atomic.Int64
	end   func()
}

// New returns a life with one user. end is called after the last.
func New(end func()) *Life {
	l := &Life{end: end}
	l.users.Store(1)
	return l
}

// Hold adds a user. It reports false if there is none left to add one to.
func (l *Life) Hold() bool {
	if l == nil {
		return true
	}
	for {
		n := l.users.Load()
		if n == 0 {
			return false
		}
		if l.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release takes a user away.
func (l *Life) Release() {
	if l != nil && l.users.Add(-1) == 0 {
		l.end()
	}
}

// Users returns how many hold it; 0 has ended.
func (l *Life) Users() int64 { return l.users.Load() }
