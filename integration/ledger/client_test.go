package ledger_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// client sends requests, and keeps count of how they went.
type client struct {
	t    *testing.T
	url  string
	http *http.Client

	mu     sync.Mutex
	counts map[string]int64
}

func newClient(t *testing.T, port int) *client {
	t.Helper()
	tr := &http.Transport{MaxIdleConnsPerHost: workers, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &client{t: t, url: fmt.Sprintf("http://127.0.0.1:%d/v1/chat/completions", port), http: &http.Client{Transport: tr, Timeout: patience}, counts: make(map[string]int64)}
}

// ask sends request number i.
func (c *client) ask(i int) {
	kind := kinds[i%len(kinds)]
	body := fmt.Sprintf(`{"model":"model-%d"`, i%models)
	switch kind {
	case "stream", "cut-early", "cut-late", "left-early":
		body += `,"stream":true`
	case "asked", "left-late":
		body += `,"stream":true,"stream_options":{"include_usage":true}`
	}
	body += `,"messages":[]}`
	if kind == "broken" {
		body = body[:len(body)-1]
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if kind == "left-waiting" {
		time.AfterFunc(20*time.Millisecond, cancel)
	}
	res, err := c.send(ctx, body, fmt.Sprint(kind, " ", i))
	if kind == "left-waiting" {
		if err == nil {
			c.t.Errorf("%s was answered with %d", kind, res.StatusCode)
			_ = res.Body.Close()
		}
		c.note("left waiting")
		return
	}
	if err != nil {
		c.t.Errorf("%s: %v", kind, err)
		return
	}
	defer res.Body.Close()
	if want := map[string]int{"error": 400, "broken": 400}[kind]; res.StatusCode != max(want, 200) {
		c.t.Errorf("%s was answered with %d", kind, res.StatusCode)
	}
	switch kind {
	case "left-early", "left-late":
		sign := map[string]string{"left-early": "so", "left-late": "prompt_tokens"}[kind]
		if err := readTo(res.Body, sign); err != nil {
			c.t.Errorf("%s: %v", kind, err)
		}
	default:
		if _, err = io.Copy(io.Discard, res.Body); (err != nil) != strings.HasPrefix(kind, "cut") {
			c.t.Errorf("%s: %v", kind, err)
		}
	}
	c.note(strings.ReplaceAll(kind, "-", " "))
}

// send sends it again if the reload closed the connection before the gateway had
// taken the request: the listener's sockets are new, and idle ones are closed.
func (c *client) send(ctx context.Context, body, kind string) (*http.Response, error) {
	for try := 0; ; try++ {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Case", kind)
		res, err := c.http.Do(req)
		if err == nil || ctx.Err() != nil || try == 20 {
			return res, err
		}
		c.note("sent again")
		time.Sleep(10 * time.Millisecond)
	}
}

// readTo reads until the text has come.
func readTo(r io.Reader, text string) error {
	var all bytes.Buffer
	buf := make([]byte, 4<<10)
	for !bytes.Contains(all.Bytes(), []byte(text)) {
		n, err := r.Read(buf)
		all.Write(buf[:n])
		if err != nil && !bytes.Contains(all.Bytes(), []byte(text)) {
			return fmt.Errorf("%w before %q came", err, text)
		}
	}
	return nil
}

func (c *client) note(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[what]++
}

func (c *client) count(what string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts[what]
}

func (c *client) tally() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.counts)
}
