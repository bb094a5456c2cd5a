package testclient_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddy-llm/gateway/integration/testclient"
)

func TestClient(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cut" {
			w.Header().Set("Content-Length", "10")
			_, _ = w.Write([]byte("half"))
			return
		}
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Host", r.Host)
		w.WriteHeader(http.StatusAccepted)
		_, _ = fmt.Fprintf(w, `{"model":"%s %s %s %s"}`, r.Method, r.Header.Get("Content-Type"), r.Header.Get("A"), body)
	}))
	defer s.Close()
	r := testclient.Post(t, s.URL, "{}", "Host", "h.example.com", "A", "b")
	if r.Status != http.StatusAccepted || r.Header.Get("X-Host") != "h.example.com" || r.Model() != "POST application/json b {}" {
		t.Errorf("got %+v", r)
	}
	if r := testclient.Get(t, s.URL); r.Model() != "GET   " {
		t.Errorf("got %+v", r)
	}
	if r := testclient.Try(http.DefaultClient, testclient.NewRequest(t, http.MethodGet, s.URL+"/cut", "")); r.Status != 0 || r.Body == "" {
		t.Errorf("half a response gives %+v", r)
	}
}
