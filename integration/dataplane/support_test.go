// Package dataplane_test tests what the built gateway does with requests while
// its configuration changes, streams are open, or it is told to exit.
package dataplane_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

const (
	chatBody   = `{"model":"any","messages":[{"role":"user","content":"hello"}]}`
	streamBody = `{"model":"any","stream":true,"messages":[{"role":"user","content":"hello"}]}`
)

// header that tells which fake provider answered.
const fromHeader = "X-From"

// newNamed starts a provider whose answers carry its name, and that keeps few
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
	model  string // as the answer says
	body   []byte
	err    error
}

// ok tells whether the answer is a whole chat completion.
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

// mustPost is post for an answer that has to be whole.
func mustPost(t testing.TB, c *http.Client, url, host string) answer {
	t.Helper()
	a := post(c, url, host)
	if !a.ok() {
		t.Fatalf("POST %s (host %q): %v", url, host, &a)
	}
	return a
}

// stream is an open streamed answer.
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

// site is a running gateway with one plain HTTP site.
type site struct {
	*gateway.Gateway
	t      testing.TB
	url    string // of the site
	status string // of the status listener
	params map[string]any
	config string
}

// startSite starts a gateway. The config is a template that uses .Port and
// .Status for the site's and the status listener's ports.
func startSite(t testing.TB, config string, params map[string]any, options ...gateway.Option) *site {
	t.Helper()
	s := &site{t: t, params: map[string]any{"Port": gateway.FreePort(t), "Status": gateway.FreePort(t)}, config: config}
	for name, value := range params {
		s.params[name] = value
	}
	s.url, s.status = fmt.Sprint("http://127.0.0.1:", s.params["Port"]), fmt.Sprint("http://127.0.0.1:", s.params["Status"])
	s.Gateway = gateway.Start(t, gateway.Render(t, config, s.params), options...)
	return s
}

// reload loads the same config with other parameters.
func (s *site) reload(params map[string]any) {
	s.t.Helper()
	before := gateway.Render(s.t, s.config, s.params)
	for name, value := range params {
		s.params[name] = value
	}
	after := gateway.Render(s.t, s.config, s.params)
	if before == after {
		s.t.Fatal("the reload changes nothing, so it would not be one")
	}
	if err := s.Reload(after); err != nil {
		s.t.Fatalf("reload: %v", err)
	}
}

// getStatus fetches a path of the status listener.
func (s *site) getStatus(path string) (status int, body []byte, err error) {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	res, err := c.Get(s.status + path)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	return res.StatusCode, body, err
}

// counter sums the series of a metric on the status listener whose labels
// contain all the given texts.
func (s *site) counter(name string, labels ...string) float64 {
	s.t.Helper()
	status, body, err := s.getStatus("/metrics")
	if err != nil || status != http.StatusOK {
		s.t.Fatalf("GET /metrics: %d %v", status, err)
	}
	return sumSeries(s.t, body, name, labels...)
}

func sumSeries(t testing.TB, body []byte, name string, labels ...string) float64 {
	t.Helper()
	var sum float64
lines:
	for line := range strings.Lines(string(body)) {
		series, value, ok := strings.Cut(strings.TrimSpace(line), "} ")
		metric, set, _ := strings.Cut(series, "{")
		if !ok || metric != name {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(set, l) {
				continue lines
			}
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("reading the metric %s: %v", name, err)
		}
		sum += v
	}
	return sum
}

// view is the part of GET /llm that the tests look at.
type view struct {
	Ready        bool   `json:"ready"`
	Snapshot     uint64 `json:"snapshot"`
	OpenRequests int    `json:"open_requests"`
	Providers    []struct {
		Name         string     `json:"name"`
		Host         string     `json:"host"`
		Origin       string     `json:"origin"`
		CoolingUntil *time.Time `json:"cooling_until"`
	} `json:"providers"`
}

// getView fetches GET /llm of the admin endpoint, and returns its text as well.
func (s *site) getView() (view, string) {
	s.t.Helper()
	status, body := s.AdminGet("/llm")
	var v view
	if err := json.Unmarshal(body, &v); status != http.StatusOK || err != nil {
		s.t.Fatalf("GET /llm: %d %v: %s", status, err, body)
	}
	return v, string(body)
}

var goroutinesLine = regexp.MustCompile(`goroutine profile: total (\d+)`)

// goroutines counts those of the gateway.
func (s *site) goroutines() int {
	s.t.Helper()
	_, body := s.AdminGet("/debug/pprof/goroutine?debug=1")
	m := goroutinesLine.FindSubmatch(body)
	if m == nil {
		s.t.Fatalf("the goroutine profile begins with %.100s", body)
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

// waitGoroutines waits until there are at most n, and returns how many there
// are; after the timeout the test fails.
func (s *site) waitGoroutines(n int, timeout time.Duration) int {
	s.t.Helper()
	got := 0
	if !eventually(timeout, func() bool { got = s.goroutines(); return got <= n }) {
		_, stacks := s.AdminGet("/debug/pprof/goroutine?debug=1")
		s.t.Errorf("the gateway has %d goroutines after %v, want at most %d; they are:\n%.6000s", got, timeout, n, stacks)
	}
	return got
}

// footprint is the gateway's memory in bytes.
type footprint struct{ resident, heap, stack int64 }

func (f footprint) String() string {
	return fmt.Sprintf("resident %.1f MiB, heap %.1f MiB, stacks %.1f MiB", mib(f.resident), mib(f.heap), mib(f.stack))
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// footprint collects the gateway's garbage and measures what is left.
func (s *site) footprint() footprint {
	s.t.Helper()
	var profile []byte
	for range 2 { // what is pooled survives one collection
		_, profile = s.AdminGet("/debug/pprof/heap?gc=1&debug=1")
	}
	stat := func(name string) int64 {
		_, after, ok := bytes.Cut(profile, []byte("\n# "+name+" = "))
		digits := after[:max(bytes.IndexAny(after, " \n"), 0)]
		n, err := strconv.ParseInt(string(digits), 10, 64)
		if !ok || err != nil {
			s.t.Fatalf("the heap profile has no %s: %v", name, err)
		}
		return n
	}
	return footprint{resident: s.Memory(), heap: stat("HeapAlloc"), stack: stat("Stack")}
}

// eventually asks until the answer is yes.
func eventually(timeout time.Duration, cond func() bool) bool {
	for end := time.Now().Add(timeout); ; time.Sleep(20 * time.Millisecond) {
		if cond() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}
