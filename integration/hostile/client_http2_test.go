package hostile_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/gateway"
)

// Over HTTP/2, what one request does wrong is no trouble to the others of its
// connection.
func TestHTTP2Clients(t *testing.T) {
	up := plainProvider(t)
	port := gateway.FreePort(t)
	g := gateway.Start(t, gateway.Render(t, `{
	skip_install_trust
	auto_https disable_redirects
	llm {
		status_listen off
		provider up {{.URL}}
	}
}
https://localhost:{{.Port}} {
	tls internal
	llm_route {
		to up
	}
}
`, map[string]any{"URL": up.URL(), "Port": port}))
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	tr := &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxConnsPerHost: 1}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr, Timeout: patience}
	send := func(path, contentType string, body io.Reader) (status int, answer string, err error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("https://localhost:%d%s", port, path), body)
		if err != nil {
			return 0, "", err
		}
		req.Header.Set("Content-Type", contentType)
		res, err := client.Do(req)
		if err != nil {
			return 0, "", err
		}
		defer res.Body.Close()
		if res.ProtoMajor != 2 {
			return 0, "", fmt.Errorf("the response came over %s", res.Proto)
		}
		b, err := io.ReadAll(res.Body)
		return res.StatusCode, string(b), err
	}
	waitFor(t, "a certificate", func() bool { _, _, err := send("/", "application/json", strings.NewReader(hello)); return err == nil })

	large := `{"messages":"` + strings.Repeat("a", 33<<20) + `"}`
	var wait sync.WaitGroup
	for i := range 24 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			var body io.Reader = strings.NewReader(hello)
			want, contentType := 200, "application/json"
			switch i % 6 {
			case 1:
				body, want = strings.NewReader(large), 413
			case 2:
				body, want = io.MultiReader(strings.NewReader(large)), 413 // of unknown length
			case 3:
				body, want = strings.NewReader(`{"model":`), 400
			case 4:
				body, want, contentType = strings.NewReader(large[:1<<20]), 415, "text/plain"
			}
			if status, answer, err := send("/v1/chat/completions", contentType, body); err != nil || status != want {
				t.Errorf("got %d %.200s, %v; want %d", status, answer, err, want)
			}
		}()
	}
	wait.Wait()
	for _, r := range up.Requests() {
		if string(r.Body) != hello {
			t.Errorf("the provider received %.100q", r.Body)
		}
	}

	// A client that cancels its requests at once, again and again.
	began := time.Now()
	for range 200 {
		r, w := io.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _, _ = send("/", "application/json", r)
		}()
		_, _ = io.WriteString(w, `{"messages":`)
		_ = w.CloseWithError(io.ErrClosedPipe)
		<-done
	}
	t.Logf("200 cancelled requests took %v", time.Since(began))
	if status, _, err := send("/", "application/json", strings.NewReader(hello)); err != nil || status != 200 {
		t.Errorf("the next request got %d, %v", status, err)
	}
	if g.Memory() > 600<<20 && os.Getenv("LLM_TEST_RACE") != "1" {
		t.Errorf("memory is at %d MiB", g.Memory()>>20)
	}
}
