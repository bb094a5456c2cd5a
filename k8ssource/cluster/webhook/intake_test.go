package webhook

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// patience is how long anything may take on a busy machine.
const patience = time.Minute

const somePod = `{"metadata": {}, "spec": {"containers": [{"name": "app", "image": "app"}]}}`

// serveReviews serves a webhook over TLS, with HTTP/2 or without.
func serveReviews(t *testing.T, in *intake, http2 bool) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(newTestWebhook(t).handler(in))
	s.EnableHTTP2 = http2
	s.StartTLS()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// begin sends a review but for what it ends with, until the test ends, and returns
// where its response comes.
func begin(t *testing.T, s *httptest.Server, sent string) <-chan string {
	t.Helper()
	r, w := io.Pipe()
	t.Cleanup(func() { _ = w.Close() })
	request, err := http.NewRequest(http.MethodPost, s.URL+pathNamespace, r)
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = int64(len(sent)) + 100
	request.Header.Set("Content-Type", "application/json")
	answers := make(chan string, 1)
	go func() {
		res, err := s.Client().Do(request)
		if err != nil {
			answers <- err.Error()
			return
		}
		defer res.Body.Close()
		data, _ := io.ReadAll(res.Body)
		answers <- fmt.Sprint(res.StatusCode, " ", string(data))
	}()
	if _, err := io.WriteString(w, sent); err != nil {
		t.Fatal(err)
	}
	return answers
}

// ask sends a review as API servers do.
func ask(t *testing.T, s *httptest.Server) (status int, body string, header http.Header) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+pathNamespace, strings.NewReader(reviewOf("default", "CREATE", "Pod", somePod)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	res, err := s.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(data), res.Header
}

// TestSlowRequests holds that requests that come slowly keep no others waiting, and
// are not waited for.
func TestSlowRequests(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprint("HTTP/2 ", http2), func(t *testing.T) {
			in := newIntake()
			in.bodyTime = time.Hour
			s := serveReviews(t, in, http2)
			for range 4 * maxWorking {
				begin(t, s, "{")
			}
			if status, body, _ := ask(t, s); status != http.StatusOK || !strings.Contains(body, `"patch"`) {
				t.Errorf("a pod among slow requests: %d %s", status, body)
			}

			in = newIntake()
			in.bodyTime = 50 * time.Millisecond
			select {
			case answer := <-begin(t, serveReviews(t, in, http2), "{"):
				if !strings.HasPrefix(answer, "408 the request took longer than 50ms to arrive") {
					t.Errorf("a request that never ends: %s", answer)
				}
			case <-time.After(patience):
				t.Error("a request that never ends is waited for")
			}
		})
	}
}

// TestHeldBytes holds that no more is held than may be, that API servers are told to
// ask again then, and that what is answered is given back.
func TestHeldBytes(t *testing.T) {
	in := newIntake()
	in.bodyTime = time.Hour
	in.free.Store(5000)
	s := serveReviews(t, in, false)
	for range 20 {
		if status, body, _ := ask(t, s); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
	}
	begin(t, s, strings.Repeat(" ", 4990))
	for began := time.Now(); in.free.Load() != 10; time.Sleep(time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatalf("%d bytes are free", in.free.Load())
		}
	}
	status, body, header := ask(t, s)
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") != "1" || !strings.HasPrefix(body, errBusy.Error()) {
		t.Errorf("%d %s %v", status, body, header)
	}
	s.CloseClientConnections()
	for began := time.Now(); in.free.Load() != 5000; time.Sleep(time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatalf("%d bytes are free after all have left", in.free.Load())
		}
	}
}

// TestWorkThatOutlastsTheBody holds that a request which has arrived is worked on for
// longer than it may take to arrive.
func TestWorkThatOutlastsTheBody(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		in := newIntake()
		in.bodyTime = time.Second
		s := serveReviews(t, in, http2)
		for range maxWorking {
			in.working <- struct{}{}
		}
		time.AfterFunc(2*in.bodyTime, in.leave)
		if status, body, _ := ask(t, s); status != http.StatusOK || !strings.Contains(body, `"patch"`) {
			t.Errorf("HTTP/2 %v: %d %q", http2, status, body)
		}
	}
}
