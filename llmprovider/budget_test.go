package llmprovider

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

func budgetOf(n int64) *Budget {
	b := new(Budget)
	b.SetLimit(n)
	return b
}

// TestABudgetIsKeptAndGivenBack has many bodies at once, of any length, announced
// or not, that end in every way, with attempts that hold them on.
func TestABudgetIsKeptAndGivenBack(t *testing.T) {
	const limit = 4 << 20
	all := budgetOf(limit)
	part := budgetOf(limit / 2)
	part.Within = all
	stop := make(chan struct{})
	var watch, wait sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			// What is refused is counted for a moment.
			if n := all.Held(); n < 0 || n > 16*limit {
				t.Errorf("%d bytes are held", n)
				return
			}
		}
	})
	var refused, taken int
	var mu sync.Mutex
	for worker := range uint64(8) {
		wait.Go(func() {
			r := rand.New(rand.NewPCG(worker, 1))
			for range 150 {
				size := 1 << r.IntN(22)
				size += r.IntN(size)
				body := io.Reader(bytes.NewReader(make([]byte, size)))
				length := int64(size)
				switch r.IntN(5) {
				case 0:
					length = -1
				case 1:
					body = io.MultiReader(io.LimitReader(body, int64(r.IntN(size))), iotest.ErrReader(errors.New("gone")))
				case 2:
					length = int64(r.IntN(2 * size))
				}
				if r.IntN(3) == 0 {
					body = iotest.HalfReader(body)
				}
				budget := all
				if r.IntN(2) == 0 {
					budget = part
				}
				buf, err := readBody(body, length, 3<<20, budget)
				mu.Lock()
				if err != nil {
					refused++
					mu.Unlock()
					continue
				}
				taken++
				mu.Unlock()
				if int64(len(buf.b)) > buf.reserved {
					t.Errorf("%d bytes, and %d are reserved", len(buf.b), buf.reserved)
				}
				if r.IntN(2) == 0 { // an attempt holds it on
					segs := segments{part: [maxSegments][]byte{buf.b}, n: 1, size: int64(len(buf.b))}
					sent := newSegmentReader(&segs, buf)
					buf.release()
					time.Sleep(time.Duration(r.IntN(300)) * time.Microsecond)
					_ = sent.Close()
					_ = sent.Close()
					continue
				}
				in := &Inbound{body: buf}
				replay := in.Replay()
				if r.IntN(2) == 0 && in.Take(replay) {
					in.Release()
				}
				_ = replay.Close()
				_ = replay.Close()
			}
		})
	}
	wait.Wait()
	close(stop)
	watch.Wait()
	if all.Held() != 0 || part.Held() != 0 {
		t.Errorf("%d and %d bytes are held at the end", all.Held(), part.Held())
	}
	if refused == 0 || taken == 0 {
		t.Errorf("%d were refused, %d taken", refused, taken)
	}
}

func TestBodiesBeyondTheBudget(t *testing.T) {
	const limit = 1 << 20
	budget := budgetOf(limit)
	read := func(r *http.Request) (*Inbound, *Error) {
		in, refused := NewInbound(r)
		if refused != nil {
			t.Fatal(refused)
		}
		in.Budget = budget
		return in, in.Read(r, DefaultMaxBody)
	}
	body := func(n int) string { return `{"a":"` + string(bytes.Repeat([]byte("x"), n-8)) + `"}` }
	first, err := read(post("/", "", body(limit)))
	if err != nil || budget.Held() != limit {
		t.Fatalf("a body that just fits: %v, %d are held", err, budget.Held())
	}
	never := post("/", "", body(300<<10))
	never.Body = io.NopCloser(iotest.ErrReader(errors.New("it was read")))
	if _, err = read(never); err == nil || err.Status != 503 || err.Code != "overloaded" || err.RetryAfter <= 0 {
		t.Errorf("another is answered with %v", err)
	}
	first.Release()
	if _, err = read(post("/", "", body(limit+1))); err == nil || err.Status != 413 || !bytes.Contains(err.JSON(), []byte("max_bodies")) {
		t.Errorf("one that never fits is answered with %v", err)
	}
	chunked := post("/", "", body(limit))
	chunked.ContentLength = -1
	in, err := read(chunked)
	if err != nil {
		t.Errorf("one without a length that just fits is answered with %v", err)
	}
	in.Release()
	if budget.Held() != 0 {
		t.Errorf("%d bytes are held", budget.Held())
	}
}

func TestSlowBodiesGiveWay(t *testing.T) {
	budget := budgetOf(100)
	long := time.Now().Add(-slowGrace - time.Minute)
	if budget.tooSlow(long, 10) {
		t.Error("with all of the budget free a slow body may not go on")
	}
	budget.reserve(60)
	if !budget.tooSlow(long, 10) || budget.tooSlow(time.Now(), 0) || budget.tooSlow(long, 2*minRate*60) {
		t.Error("with little of it free, it is not the slow one that may not go on")
	}
	if (*Budget)(nil).tooSlow(long, 10) {
		t.Error("without a budget a slow body may not go on")
	}
}
