// Package operations_test runs the built gateway as an operator does: keys and
// their rotation, logs, metrics, the status listener, TLS to providers.
package operations_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/gateway"
)

// patience bounds each wait; it is long because machines may be busy.
const patience = 20 * time.Second

// answer is a response read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// post sends JSON to a path of a port of this machine. headers are pairs of name
// and value; the name Host sets the host.
func post(t *testing.T, port int, path, body string, headers ...string) answer {
	t.Helper()
	return send(t, http.MethodPost, port, path, body, headers...)
}

// get fetches a path of a port of this machine.
func get(t *testing.T, port int, path string, headers ...string) answer {
	t.Helper()
	return send(t, http.MethodGet, port, path, "", headers...)
}

func send(t *testing.T, method string, port int, path, body string, headers ...string) answer {
	t.Helper()
	a, err := try(t.Context(), method, port, path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func try(ctx context.Context, method string, port int, path, body string, headers ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	tr := &http.Transport{DisableCompression: true}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr, Timeout: patience}).Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, fmt.Errorf("reading the response: %w", err)
	}
	return answer{res.StatusCode, res.Header, string(all)}, nil
}

// postAfterReload is post for the first request after a reload. Caddy's own
// reload closes the old listener's socket, and resets connections that had not
// been accepted there.
func postAfterReload(t *testing.T, port int, path, body string) (a answer) {
	t.Helper()
	waitFor(t, "a response after the reload", func() (ok bool) {
		var err error
		a, err = try(t.Context(), http.MethodPost, port, path, body)
		return err == nil
	})
	return a
}

// accessLog waits for the access log's line of a request sent after the mark,
// and of that URI unless it is empty.
func accessLog(t *testing.T, g *gateway.Gateway, mark int, uri string) gateway.LogLine {
	t.Helper()
	var found gateway.LogLine
	waitFor(t, "the access log", func() bool {
		for _, l := range g.LogsSince(mark) {
			request, _ := l.Fields["request"].(map[string]any)
			if l.Message == "handled request" && (uri == "" || request["uri"] == uri) {
				found = l
				return true
			}
		}
		return false
	})
	return found
}

// waitFor waits until a condition holds.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// listen takes a port of this machine until the test ends.
func listen(t *testing.T) int {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}
