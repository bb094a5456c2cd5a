package upstream

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/caddytls"

	"github.com/caddy-llm/gateway/internal/moduletest"
)

// settings reads transport settings as a configuration has them.
func settings(t testing.TB, text string) *reverseproxy.HTTPTransport {
	t.Helper()
	if text == "" {
		return nil
	}
	s := new(reverseproxy.HTTPTransport)
	if err := json.Unmarshal([]byte(text), s); err != nil {
		t.Fatal(err)
	}
	return s
}

func acquire(t testing.TB, text string, useTLS bool, dial caddy.Duration) *transport {
	t.Helper()
	tr, err := acquireTransport(moduletest.Context(t), settings(t, text), useTLS, false, dial)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.release() })
	return tr
}

func references(key string) int {
	n, _ := transports.References(key)
	return n
}

func TestTransportsAreSharedBySettings(t *testing.T) {
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	writeCA(t, ca)
	same := []struct {
		name, a, b   string
		tlsA, tlsB   bool
		dialA, dialB caddy.Duration
		shared       bool
	}{
		{"none", "", "", true, true, 0, 0, true},
		{"none and empty ones", "", `{}`, true, true, 0, 0, true},
		{"the default said", "", `{"dial_timeout":"3s"}`, true, true, 0, 0, true},
		{"the time limit in either place", `{"dial_timeout":"7s"}`, "", true, true, 0, caddy.Duration(7 * time.Second), true},
		{"with and without TLS", "", "", true, false, 0, 0, false},
		{"another time limit", "", "", true, true, 0, caddy.Duration(time.Second), false},
		{"the same CA file", `{"tls":{"root_ca_pem_files":["` + ca + `"]}}`, `{"tls":{"root_ca_pem_files":["` + ca + `"]}}`, true, true, 0, 0, true},
		{"the same CA as a module", `{"tls":{"ca":{"provider":"file","pem_files":["` + ca + `"]}}}`, `{"tls":{"ca":{"provider":"file","pem_files":["` + ca + `"]}}}`, true, true, 0, 0, true},
		{"a CA file and none", `{"tls":{"root_ca_pem_files":["` + ca + `"]}}`, "", true, true, 0, 0, false},
		{"another server name", `{"tls":{"server_name":"a.example"}}`, `{"tls":{"server_name":"b.example"}}`, true, true, 0, 0, false},
		{"without verification", `{"tls":{"insecure_skip_verify":true}}`, "", true, true, 0, 0, false},
		{"other versions", `{"versions":["1.1"]}`, "", true, true, 0, 0, false},
		{"a proxy of the configuration", `{"network_proxy":{"from":"none"}}`, `{"network_proxy":{"from":"none"}}`, true, true, 0, 0, false},
	}
	for _, test := range same {
		t.Run(test.name, func(t *testing.T) {
			a, b := acquire(t, test.a, test.tlsA, test.dialA), acquire(t, test.b, test.tlsB, test.dialB)
			if shared := a.HTTPTransport == b.HTTPTransport; shared != test.shared {
				t.Errorf("shared: %v, want %v", shared, test.shared)
			}
		})
	}
}

func TestTransportsOutliveTheirConfiguration(t *testing.T) {
	first, err := acquireTransport(moduletest.Context(t), settings(t, `{"max_conns_per_host":77}`), true, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	second, err := acquireTransport(moduletest.Context(t), settings(t, `{"max_conns_per_host":77}`), true, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n := references(first.key); n != 2 {
		t.Fatalf("%d references, want 2", n)
	}
	for range 3 { // as often as one likes
		if err := first.release(); err != nil {
			t.Fatal(err)
		}
	}
	if n := references(second.key); n != 1 {
		t.Fatalf("%d references after one release, want 1", n)
	}
	if err := second.release(); err != nil {
		t.Fatal(err)
	}
	if n := references(second.key); n != 0 {
		t.Errorf("%d references at the end", n)
	}
}

func TestTransportKeysHoldNoSecret(t *testing.T) {
	tr := acquire(t, `{"forward_proxy_url":"http://user:`+keyText+`@proxy.example"}`, true, 0)
	if tr.key == "" || strings.Contains(tr.key, keyText) || strings.Contains(tr.key, "proxy") {
		t.Errorf("the key is %q", tr.key)
	}
}

func TestSettingsAreNotChanged(t *testing.T) {
	for _, text := range []string{`{}`, `{"tls":{}}`, `{"tls":{"server_name":"x"},"keep_alive":{"max_idle_conns":3}}`} {
		s := settings(t, text)
		tr, err := acquireTransport(moduletest.Context(t), s, true, false, caddy.Duration(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tr.release() }()
		if after, _ := json.Marshal(s); string(after) != text {
			t.Errorf("%s became %s", text, after)
		}
	}
}

func TestTransportDefaults(t *testing.T) {
	tr := acquire(t, "", true, 0)
	h := tr.Transport
	if h.MaxIdleConnsPerHost != idlePerHost || h.MaxResponseHeaderBytes != maxResponseHeader || !h.DisableCompression || h.TLSHandshakeTimeout != defaultDialTimeout || h.HTTP2.SendPingTimeout != pingAfter {
		t.Errorf("idle %d, header %d, compression off %v, handshake %s", h.MaxIdleConnsPerHost, h.MaxResponseHeaderBytes, h.DisableCompression, h.TLSHandshakeTimeout)
	}
	own := acquire(t, `{"keep_alive":{"max_idle_conns_per_host":5},"max_response_header_size":4096,"compression":true,"tls":{"handshake_timeout":"9s"}}`, true, caddy.Duration(time.Second)).Transport
	if own.MaxIdleConnsPerHost != 5 || own.MaxResponseHeaderBytes != 4096 || own.DisableCompression || own.TLSHandshakeTimeout != 9*time.Second {
		t.Errorf("idle %d, header %d, compression off %v, handshake %s", own.MaxIdleConnsPerHost, own.MaxResponseHeaderBytes, own.DisableCompression, own.TLSHandshakeTimeout)
	}
}

func TestTransportsThatCannotBeSetUp(t *testing.T) {
	for _, test := range []struct {
		name, settings string
		useTLS         bool
		want           string
	}{
		{"TLS options without TLS", `{"tls":{"server_name":"x"}}`, false, "TLS options are set, but the scheme is http; write https"},
		{"a CA file that is not there", `{"tls":{"root_ca_pem_files":["none.pem"]}}`, true, "none.pem"},
		{"a CA file of a module that is not there", `{"tls":{"ca":{"provider":"file","pem_files":["none.pem"]}}}`, true, "none.pem"},
		{"a client certificate that is not there", `{"tls":{"client_certificate_file":"none.pem","client_certificate_key_file":"none.key"}}`, true, "none.pem"},
		{"a module that does not exist", `{"tls":{"ca":{"provider":"none"}}}`, true, "tls.ca_pool.source.none"},
		{"a version that does not exist", `{"versions":["9"]}`, true, "unsupported HTTP version: 9"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := acquireTransport(moduletest.Context(t), settings(t, test.settings), test.useTLS, false, 0)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %q", err, test.want)
			}
		})
	}
}

// writeCA writes the certificate of a new test server, and returns the server.
func writeCA(t testing.TB, path string) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(path, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return server
}

func TestAChangedCAFileGivesANewPool(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	server := writeCA(t, ca)
	for _, text := range []string{`{"tls":{"root_ca_pem_files":["` + ca + `"]}}`, `{"tls":{"ca":{"provider":"file","pem_files":["` + ca + `"]}}}`} {
		before := acquire(t, text, true, 0)
		old, err := os.ReadFile(ca)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(ca, append(old, "\n# new\n"...), 0o600); err != nil {
			t.Fatal(err)
		}
		after := acquire(t, text, true, 0)
		if before.HTTPTransport == after.HTTPTransport {
			t.Errorf("%s: the old pool is used", text)
		}
		for _, tr := range []*transport{before, after} {
			r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := tr.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			if body, _ := io.ReadAll(res.Body); string(body) != "HTTP/2.0" {
				t.Errorf("the provider was asked in %s", body)
			}
			res.Body.Close()
		}
	}
}

// TestConnectingIsBoundAsAWhole asks a provider that takes connections and never
// answers the TLS handshake.
func TestConnectingIsBoundAsAWhole(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+silent.Addr().String(), nil)
	start := time.Now()
	res, err := acquire(t, "", true, caddy.Duration(200*time.Millisecond)).RoundTrip(r)
	if err == nil {
		res.Body.Close()
		t.Fatal("answered")
	}
	if took := time.Since(start); took < 150*time.Millisecond || took > 5*time.Second {
		t.Errorf("it took %s (%v)", took, err)
	}
}

func TestServerNames(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	server := writeCA(t, ca) // whose certificate is for 127.0.0.1 and example.com
	for name, ok := range map[string]bool{"": true, "example.com": true, "other.example": false} {
		tr := acquire(t, `{"tls":{"ca":{"provider":"file","pem_files":["`+ca+`"]},"server_name":"`+name+`"}}`, true, 0)
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		res, err := tr.RoundTrip(r)
		if err == nil {
			res.Body.Close()
		}
		if (err == nil) != ok {
			t.Errorf("as %q: %v", name, err)
		}
	}
}

func TestProvidersWithAnUnknownCAAreNotTrusted(t *testing.T) {
	server := writeCA(t, filepath.Join(t.TempDir(), "ca.pem"))
	r, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL, nil)
	res, err := acquire(t, "", true, 0).RoundTrip(r)
	if err == nil {
		res.Body.Close()
		t.Fatal("trusted")
	}
	if !strings.Contains(err.Error(), "certificate") {
		t.Errorf("the error is %v", err)
	}
}

// TestProvidersAreAskedForModelsAtOnce has several requests made on behalf of
// one client, through a proxy that the transport notes in the request's variables.
func TestProvidersAreAskedForModelsAtOnce(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.URL.Host)
	}))
	defer proxy.Close()
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	vars := make(map[string]any)
	ctx := context.WithValue(context.Background(), caddyhttp.VarsCtxKey, vars)
	var wait sync.WaitGroup
	for i := range 8 {
		p := &Connection{Host: "p" + strconv.Itoa(i) + ".example", Scheme: "http", Transport: settings(t, `{"network_proxy":{"from":"url","url":"http://`+at.Host+`"}}`)}
		moduletest.Provision(t, p)
		wait.Go(func() {
			for range 20 {
				r, refused := p.Get(ctx, p.URL(&url.URL{Path: "/v1/models"}), nil, nil)
				if refused != nil {
					t.Error(refused)
					return
				}
				res, err := p.RoundTrip(r)
				if err != nil {
					t.Error(err)
					return
				}
				if body, _ := io.ReadAll(res.Body); string(body) != p.Host {
					t.Errorf("%s was asked for as %q", p.Host, body)
				}
				res.Body.Close()
			}
		})
	}
	wait.Wait()
	if len(vars) != 0 {
		t.Errorf("the client's variables were changed to %v", vars)
	}
}
