package limit

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
)

// subject is a request's values.
type subject map[Key]string

func (s subject) Value(k Key) string { return s[k] }
func (s subject) Matches(int) bool   { return s["matches"] != "no" }

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// storage is Caddy's, as tests have it.
type storage struct {
	mu     sync.Mutex
	files  map[string][]byte
	broken bool
	writes int
	before func(key string) // a write
}

var errBroken = errors.New("the disk is full")

func (s *storage) Store(_ context.Context, key string, value []byte) error {
	if s.before != nil {
		s.before(key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return errBroken
	}
	s.writes++
	s.files[key] = append([]byte(nil), value...)
	return nil
}

func (s *storage) Load(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return nil, errBroken
	}
	if data, ok := s.files[key]; ok {
		return data, nil
	}
	return nil, fs.ErrNotExist
}

func (s *storage) setBroken(b bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = b
}

// copy is what a process that begins now finds.
func (s *storage) copy() *storage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &storage{files: maps.Clone(s.files)}
}

// bench is an engine with its time and storage.
type bench struct {
	*Engine
	*clock
	disk *storage
}

func newBench(t testing.TB) *bench {
	t.Helper()
	return benchOn(&storage{files: make(map[string][]byte)}, &clock{t: time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)})
}

func benchOn(disk *storage, c *clock) *bench {
	b := &bench{Engine: newEngine(c.now), clock: c, disk: disk}
	b.checkpoint.use(disk, zap.NewNop())
	return b
}

func (b *bench) compile(t testing.TB, limits ...*Definition) *Set {
	t.Helper()
	c := &Config{Limits: limits}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	s := b.Compile(c, nil)
	s.Activate()
	return s
}

// request needs that much; without output, its responses have none.
func request(values subject, prompt, output int64) *Request {
	return &Request{Subject: values, Typical: prompt, Strict: 4 * prompt, Output: output, Choices: 1, NoOutput: output == 0}
}

func reserve(t testing.TB, s *Set, r *Request) (*Reservation, *Refusal) {
	t.Helper()
	return s.Reserve(context.Background(), r)
}

func mustReserve(t testing.TB, s *Set, r *Request) *Reservation {
	t.Helper()
	got, refused := reserve(t, s, r)
	if refused != nil {
		t.Fatalf("refused: %+v", refused)
	}
	return got
}

// spend is a whole request.
func spend(t testing.TB, s *Set, r *Request, input, output int64) *Refusal {
	t.Helper()
	got, refused := reserve(t, s, r)
	if refused == nil {
		got.Charge(Metered, Usage{Input: input, Output: output, Cost: -1})
	}
	got.End()
	return refused
}

func one(unit Unit, amount, window string) []Amount {
	return []Amount{{Unit: unit, Amount: Number(amount), Window: window}}
}

// of returns the view of an amount.
func of(t testing.TB, s *Set, limit string, i int) AmountView {
	t.Helper()
	for _, v := range s.View() {
		if v.Name == limit {
			return v.Amounts[i]
		}
	}
	t.Fatalf("no limit %s", limit)
	return AmountView{}
}

// used is what the running window of an unkeyed amount has used.
func used(t testing.TB, s *Set, limit string, i int) string {
	t.Helper()
	v := of(t, s, limit, i)
	if len(v.Fullest) == 0 {
		return "0"
	}
	return string(v.Fullest[0].Used)
}

// NewTestEngine returns an engine of its own with that time, for tests with real stores.
func NewTestEngine(now func() time.Time) *Engine { return newEngine(now) }
