package upstream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// provisioned returns the connection that the JSON describes.
func provisioned(t *testing.T, text string) (*upstream.Connection, error) {
	t.Helper()
	c := new(upstream.Connection)
	if err := json.Unmarshal([]byte(text), c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	err := c.Provision(ctx)
	t.Cleanup(func() { _ = c.Cleanup() })
	return c, err
}

func TestPoolMistakes(t *testing.T) {
	for _, test := range []struct{ pool, says string }{
		{`{}`, "endpoints or a source"},
		{`{"endpoints":["a:1"],"from":{"source":"a","name":"b"}}`, "one of the two"},
		{`{"endpoints":["http://a:1"]}`, "an endpoint of the pool"},
		{`{"endpoints":["user:secret-not-shown@a:1"]}`, "an endpoint of the pool"},
		{`{"endpoints":["a:0"]}`, "port of an endpoint"},
		{`{"endpoints":["a:70000"]}`, "port of an endpoint"},
		{`{"endpoints":[""]}`, "host is required"},
		{`{"endpoints":["unix//run/a.sock"]}`, "an endpoint of the pool"},
		{`{"endpoints":["a:1"],"affinity":"sticky"}`, "prefix, header, client or off"},
		{`{"endpoints":["a:1"],"affinity":"header"}`, "the name of a header"},
		{`{"endpoints":["a:1"],"affinity_header":"X-A"}`, "but affinity is not header"},
		{`{"endpoints":["a:1"],"metrics":"metrics"}`, "write a path"},
		{`{"endpoints":["a:1"],"metrics":":8002"}`, "port without a path"},
		{`{"endpoints":["a:1"],"metrics":":x/metrics"}`, "port of metrics"},
		{`{"from":{"source":"nonsense"}}`, "loading the source"},
		{`{"from":{"source":"srv","name":"a","dial_network":"tcp4"}}`, "dial_network"},
	} {
		_, err := provisioned(t, `{"host":"own","scheme":"http","pool":`+test.pool+`}`)
		if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "not-shown") {
			t.Errorf("%s: got %v, want %q", test.pool, err, test.says)
		}
	}
	if _, err := provisioned(t, `{"host":"own","port":80,"pool":{"endpoints":["a:1"]}}`); err == nil || !strings.Contains(err.Error(), "leave the provider's port out") {
		t.Errorf("a port: %v", err)
	}
}

func TestPoolServers(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked = append(asked, fmt.Sprint(r.Method, " ", r.URL.Path, " ", r.Header.Get("X-Team"), " ", r.Header.Get("Authorization")))
	}))
	defer server.Close()
	address := server.Listener.Addr().String()
	c, err := provisioned(t, `{"host":"own","scheme":"http","headers":{"X-Team":"a"},"pool":{"endpoints":["`+address+`","A.example.com","[::1]","b.:81"]}}`)
	if err != nil {
		t.Fatal(err)
	}
	s := c.Servers()
	if got := strings.Join(s.Addresses, " "); got != address+" a.example.com:80 [::1]:80 b:81" || s.Affinity != "prefix" {
		t.Errorf("addresses %s, affinity %s", got, s.Affinity)
	}
	res, err := s.Scrape(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	port := address[strings.LastIndexByte(address, ':'):]
	c, err = provisioned(t, `{"host":"own","scheme":"http","pool":{"endpoints":["127.0.0.1:1"],"metrics":"`+port+`/stats"}}`)
	if err != nil {
		t.Fatal(err)
	}
	if res, err = c.Servers().Scrape(t.Context(), "127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if got := strings.Join(asked, "; "); got != "GET /metrics a ; GET /stats  " {
		t.Errorf("asked %q", got)
	}
	c, err = provisioned(t, `{"host":"own","scheme":"http","pool":{"from":{"source":"a","name":"localhost","port":"8000","versions":{"ipv4":true}},"metrics":"off"}}`)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := c.Servers().Lookup(t.Context()); err != nil || len(found) != 1 || found[0] != "127.0.0.1:8000" || c.Servers().Scrape != nil {
		t.Errorf("found %v, %v", found, err)
	}
}
