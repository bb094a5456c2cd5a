package receive

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/tap"
)

// TestPeekWaitsForSoLong has a body that is silent, or says nothing certain.
func TestPeekWaitsForSoLong(t *testing.T) {
	r, w := io.Pipe()
	go func() { _, _ = io.WriteString(w, " \n") }()
	look := tap.Judge(&http.Response{}, llmprovider.Endpoint{Operation: llmprovider.Chat})
	began := time.Now()
	found, body, ended := Peek(r, look)
	if took := time.Since(began); found != "" || ended != nil || took < PeekTime-time.Second || took > PeekTime+5*time.Second {
		t.Fatalf("found %q, %v after %s", found, ended, took)
	}
	in := bufio.NewReader(body)
	if line, err := in.ReadString('\n'); line != " \n" || err != nil {
		t.Errorf("what had come is %q, %v", line, err)
	}
	go func() {
		_, _ = io.WriteString(w, "{\"error\":1}")
		_, _ = io.WriteString(w, "more")
		_ = w.CloseWithError(errors.New("gone"))
	}()
	if rest, err := io.ReadAll(in); string(rest) != `{"error":1}more` || err == nil || err.Error() != "gone" {
		t.Errorf("the rest is %q, %v", rest, err)
	}
}

func TestPeekLosesNothing(t *testing.T) {
	long := strings.Repeat("x", 3*PeekSize)
	for _, text := range []string{"", "a", long, `{"choices":[{}],"x":"` + long + `"}`, `{"x":"` + long + `"}`} {
		for _, op := range []llmprovider.Operation{llmprovider.Chat, llmprovider.Audio} {
			look := tap.Judge(&http.Response{}, llmprovider.Endpoint{Operation: op})
			_, stream, _ := Peek(io.NopCloser(strings.NewReader(text)), look)
			dog := Watch(time.Minute, func(error) {})
			defer dog.Stop()
			if got, err := io.ReadAll(stream); string(got) != text || err != nil {
				t.Errorf("of a stream of %d bytes %d came, %v", len(text), len(got), err)
			}
			for _, in := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
				_, whole, _ := PeekWhole(io.NopCloser(in), dog, look)
				if got, err := io.ReadAll(whole); string(got) != text || err != nil {
					t.Errorf("of %d bytes %d came, %v", len(text), len(got), err)
				}
			}
		}
	}
}

// TestAheadReadsWhileNobodyDoes holds that a body is read up to the limit before anybody takes
// it, loses nothing, and keeps what had come when it breaks off.
func TestAheadReadsWhileNobodyDoes(t *testing.T) {
	const limit = 3*PeekSize + 5
	for _, size := range []int{0, 1, PeekSize, limit, limit + 1, 5 * limit} {
		text := strings.Repeat("0123456789", size)[:size]
		r, w := io.Pipe()
		written := make(chan int)
		go func() {
			n, _ := io.WriteString(w, text[:min(size, limit)]) // returns when all of it was read
			written <- n
			_, _ = io.WriteString(w, text[n:])
			_ = w.CloseWithError(errors.New("gone"))
		}()
		body := Ahead(r, limit)
		if n := <-written; n != min(size, limit) {
			t.Fatalf("%d of %d bytes were read", n, size)
		}
		body.Take()
		if got, err := io.ReadAll(body); string(got) != text || err == nil || err.Error() != "gone" {
			t.Errorf("of %d bytes %d came, %v", size, len(got), err)
		}
	}
}
