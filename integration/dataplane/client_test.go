// Package dataplane_test tests what the built gateway does with requests while
// its configuration changes, streams are open, or it is told to exit.
package dataplane_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

const (
	chatBody   = `{"model":"any","messages":[{"role":"user","content":"hello"}]}`
	streamBody = `{"model":"any","stream":true,"messages":[{"role":"user","content":"hello"}]}`
)

// header that tells which fake provider answered.
const fromHeader = "X-From"

// newNamed starts a provider whose responses carry its name, and that keeps few
// of the requests.
func newNamed(t testing.TB, name string, options ...fakeprovider.Option) *fakeprovider.Server {
	t.Helper()
	s := fakeprovider.New(t, append([]fakeprovider.Option{fakeprovider.Names(name), fakeprovider.Keep(100)}, options...)...)
	s.Script(func(i int, r *fakeprovider.Recorded) fakeprovider.Reply {
		return fakeprovider.Default(i, r).WithHeader(fromHeader, name)
	})
	return s
}

// newClient has connections of its own, at most one that is kept open for each
// concurrent request.
func newClient(t testing.TB) *http.Client {
	t.Helper()
	tr := &http.Transport{MaxIdleConnsPerHost: 4096, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: time.Minute}
}

// answer is what a client got for one request.
type answer struct {
	began  time.Time
	took   time.Duration
	status int
	from   string // the provider's name
	model  string // as the response says
	body   []byte
	err    error
}

// ok reports whether the response is a whole chat completion.
func (a *answer) ok() bool { return a.err == nil && a.status == http.StatusOK && a.model != "" }

func (a *answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return fmt.Sprintf("%d from %q: %.200s", a.status, a.from, a.body)
}

// post sends one chat completion for a host, which may be empty.
func post(c *http.Client, url, host string) answer {
	a := answer{began: time.Now()}
	defer func() { a.took = time.Since(a.began) }()
	res, err := send(c, url, host, chatBody)
	if err != nil {
		a.err = err
		return a
	}
	defer res.Body.Close()
	a.status, a.from = res.StatusCode, res.Header.Get(fromHeader)
	if a.body, a.err = io.ReadAll(res.Body); a.err != nil {
		return a
	}
	var parsed struct{ Model string }
	if a.status == http.StatusOK {
		a.err = json.Unmarshal(a.body, &parsed)
	}
	a.model = parsed.Model
	return a
}

func send(c *http.Client, url, host, body string) (*http.Response, error) {
	req, err := http.NewRequest(http.MethodPost, url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if host != "" {
		req.Host = host
	}
	return c.Do(req)
}

// mustPost is post for a response that has to be whole.
func mustPost(t testing.TB, c *http.Client, url, host string) answer {
	t.Helper()
	a := post(c, url, host)
	if !a.ok() {
		t.Fatalf("POST %s (host %q): %v", url, host, &a)
	}
	return a
}

// stream is an open streamed response.
type stream struct {
	res *http.Response
	in  *bufio.Reader
}

// openStream asks for a stream and returns when its head is there.
func openStream(c *http.Client, url, host string) (*stream, error) {
	res, err := send(c, url, host, streamBody)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		_ = res.Body.Close()
		return nil, fmt.Errorf("a stream was answered with %d: %s", res.StatusCode, body)
	}
	return &stream{res, bufio.NewReaderSize(res.Body, 1<<10)}, nil
}

func mustOpen(t testing.TB, c *http.Client, url, host string) *stream {
	t.Helper()
	s, err := openStream(c, url, host)
	if err != nil {
		t.Fatalf("opening a stream: %v", err)
	}
	t.Cleanup(s.close)
	return s
}

// openAll opens n streams, a few at a time, and reads the first event of each.
func openAll(t testing.TB, c *http.Client, url, host string, n int) []*stream {
	t.Helper()
	streams := make([]*stream, n)
	var wg sync.WaitGroup
	few := make(chan struct{}, 32)
	for i := range streams {
		few <- struct{}{}
		wg.Go(func() {
			defer func() { <-few }()
			s, err := openStream(c, url, host)
			if err == nil {
				_, err = s.next()
			}
			if err != nil {
				t.Errorf("opening stream %d: %v", i, err)
				return
			}
			streams[i] = s
		})
	}
	wg.Wait()
	t.Cleanup(func() {
		for _, s := range streams {
			if s != nil {
				s.close()
			}
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return streams
}

// finishNumbered reads the streams of openAll to their ends and gives, for each
// as it ends, what is wrong with it.
func finishNumbered(streams []*stream, events int) <-chan error {
	results := make(chan error, len(streams))
	for _, s := range streams {
		go func() {
			got, err := s.rest()
			if err == nil {
				err = wholeNumbered(got, 1, events)
			}
			results <- err
		}()
	}
	return results
}

func (s *stream) close() { _ = s.res.Body.Close() }

// next reads the data of the next event; io.EOF is the stream's proper end.
func (s *stream) next() (string, error) {
	for {
		line, err := s.in.ReadString('\n')
		if data, ok := strings.CutPrefix(line, "data: "); ok && err == nil {
			return strings.TrimSpace(data), nil
		}
		if err != nil {
			return "", err
		}
	}
}

// rest reads to the end; a nil error is a proper one.
func (s *stream) rest() (events []string, err error) {
	for {
		data, err := s.next()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		events = append(events, data)
	}
}

// numbered is a stream of n events that count from 0, and [DONE], with a pause
// before each.
func numbered(n int, pause time.Duration) fakeprovider.Reply {
	events := make([]string, n, n+1)
	for i := range events {
		events[i] = numberedEvent(i)
	}
	return fakeprovider.SSE(append(events, "data: [DONE]\n\n")...).Every(pause)
}

func numberedEvent(i int) string {
	return fmt.Sprintf(`data: {"id":"c","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{"index":0,"delta":{"content":"%d"},"finish_reason":null}]}`+"\n\n", i)
}

// wholeNumbered checks that a client got all of numbered(n), in order; skip are
// the events it had read before.
func wholeNumbered(events []string, skip, n int) error {
	if len(events) != n-skip+1 {
		return fmt.Errorf("%d events, want %d", len(events), n-skip+1)
	}
	for i, data := range events[:n-skip] {
		if want := strings.TrimSpace(strings.TrimPrefix(numberedEvent(skip+i), "data: ")); data != want {
			return fmt.Errorf("event %d is %s", skip+i, data)
		}
	}
	if last := events[n-skip]; last != "[DONE]" {
		return fmt.Errorf("the last event is %s, want [DONE]", last)
	}
	return nil
}
