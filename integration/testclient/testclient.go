// Package testclient sends the HTTP requests of tests and reads the whole response.
package testclient

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Response is a response that was read to its end.
type Response struct {
	Status int // 0 if there is none
	Header http.Header
	Body   string // the error if there is none
}

// Model returns the member model of a JSON response; an error has none.
func (r Response) Model() string {
	var decoded struct{ Model string }
	_ = json.Unmarshal([]byte(r.Body), &decoded)
	return decoded.Model
}

// Post sends JSON. header has names and values in turn; Host is the request's. The
// test fails if there is no response.
func Post(t testing.TB, url, body string, header ...string) Response {
	t.Helper()
	return must(t, Try(http.DefaultClient, NewRequest(t, http.MethodPost, url, body, header...)))
}

// Get is Post for requests without a body.
func Get(t testing.TB, url string, header ...string) Response {
	t.Helper()
	return must(t, Try(http.DefaultClient, NewRequest(t, http.MethodGet, url, "", header...)))
}

// Send is Post for other methods.
func Send(t testing.TB, method, url, body string, header ...string) Response {
	t.Helper()
	return must(t, Try(http.DefaultClient, NewRequest(t, method, url, body, header...)))
}

func must(t testing.TB, r Response) Response {
	t.Helper()
	if r.Status == 0 {
		t.Fatal(r.Body)
	}
	return r
}

// NewRequest makes a request of the test's; with a body it is JSON, unless header
// says otherwise.
func NewRequest(t testing.TB, method, url, body string, header ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Set(header[i], header[i+1])
	}
	return req
}

// Try sends a request that may get no response, or only a part of one: then the
// status is 0.
func Try(client *http.Client, req *http.Request) Response {
	res, err := client.Do(req)
	if err != nil {
		return Response{Body: err.Error()}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return Response{Body: err.Error()}
	}
	return Response{res.StatusCode, res.Header, string(body)}
}
