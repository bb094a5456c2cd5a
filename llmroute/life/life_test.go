package life

import (
	"context"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func TestLifeEndsOnce(t *testing.T) {
	ended := 0
	l := New(func() { ended++ })
	if !l.Hold() || l.Users() != 2 {
		t.Errorf("it has %d users, want 2", l.Users())
	}
	l.Release()
	if ended != 0 {
		t.Error("it ended while in use")
	}
	l.Release()
	if ended != 1 || l.Hold() || l.Users() != 0 {
		t.Errorf("it ended %d times, want 1, and has %d users", ended, l.Users())
	}
	var none *Life
	if !none.Hold() {
		t.Error("what is in Caddy's configuration has ended")
	}
	none.Release()
}

// TestGeneration holds that a member's context ends with it, before it is told, and those of
// others with the last.
func TestGeneration(t *testing.T) {
	parent, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	new(Generation).Release() // of which nothing was asked
	g := NewGeneration(parent)
	shared := g.Context()
	var first *Life
	var ctx caddy.Context
	told := false
	first, ctx = g.Member(func() { told = ctx.Err() != nil })
	second, other := g.Member(func() {})
	g.Release()
	first.Release()
	if !told || other.Err() != nil || shared.Err() != nil {
		t.Errorf("told after the end: %v; the other: %v, all: %v", told, other.Err(), shared.Err())
	}
	second.Release()
	if other.Err() == nil || shared.Err() == nil {
		t.Error("a context goes on after the last member")
	}
}
