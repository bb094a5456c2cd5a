package fakeprovider_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

func TestRecordsWhatArrived(t *testing.T) {
	for _, tc := range []struct {
		name    string
		options []fakeprovider.Option
		proto   string
		sni     string
	}{
		{"plain", []fakeprovider.Option{fakeprovider.Plain()}, "HTTP/1.1", ""},
		{"tls h1", []fakeprovider.Option{fakeprovider.HTTP1Only()}, "HTTP/1.1", "localhost"},
		{"tls h2", nil, "HTTP/2.0", "localhost"},
		{"tls h2 only", []fakeprovider.Option{fakeprovider.HTTP2Only()}, "HTTP/2.0", "localhost"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := fakeprovider.New(t, tc.options...)
			body := "{ \"model\":\"m-1\",\t\"stream\":true,\"stream_options\":{\"include_usage\":true},\"n\":12345678901234567890}"
			req, _ := http.NewRequest("POST", s.URLFor("localhost")+"/v1/a%2Fb?x=%20y&z", strings.NewReader(body))
			req.Header.Add("X-Twice", "one")
			req.Header.Add("X-Twice", "two")
			req.Host = "api.example.com"
			res, err := s.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != 200 || !strings.HasSuffix(string(answer), "data: [DONE]\n\n") {
				t.Fatalf("status %d, body %q, error %v", res.StatusCode, answer, err)
			}

			r := s.Last()
			if string(r.Body) != body {
				t.Errorf("body %q", r.Body)
			}
			if r.Method != "POST" || r.Path != "/v1/a%2Fb" || r.RawQuery != "x=%20y&z" {
				t.Errorf("%s %s ? %s", r.Method, r.Path, r.RawQuery)
			}
			if r.Host != "api.example.com" || r.Proto != tc.proto {
				t.Errorf("host %q, proto %q", r.Host, r.Proto)
			}
			if r.SNI != tc.sni {
				t.Errorf("SNI %q, want %q", r.SNI, tc.sni)
			}
			if got := r.Header["X-Twice"]; len(got) != 2 || got[0] != "one" || got[1] != "two" {
				t.Errorf("X-Twice %q", got)
			}
			if r.Model != "m-1" || !r.Stream || !r.IncludeUsage {
				t.Errorf("read %q %v %v", r.Model, r.Stream, r.IncludeUsage)
			}
			if s.Count() != 1 || r.Connection != 1 || s.Cancelled() != 0 {
				t.Errorf("count %d, connection %d, cancelled %d", s.Count(), r.Connection, s.Cancelled())
			}
		})
	}
}

func TestCertificate(t *testing.T) {
	s := fakeprovider.New(t, fakeprovider.Names("api.example.com"))
	expired := fakeprovider.New(t, fakeprovider.Expired())
	pem, err := os.ReadFile(s.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	for _, tc := range []struct {
		name, addr, serverName, wantErr string
	}{
		{"given name", s.Addr(), "api.example.com", ""},
		{"address", s.Addr(), "127.0.0.1", ""},
		{"other name", s.Addr(), "other.example.com", "not other.example.com"},
		{"expired", expired.Addr(), "localhost", "expired"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := tls.Dial("tcp", tc.addr, &tls.Config{RootCAs: pool, ServerName: tc.serverName})
			if err == nil {
				_ = c.Close()
			}
			if tc.wantErr == "" && err != nil || tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)) {
				t.Errorf("got %v, want %q", err, tc.wantErr)
			}
		})
	}
}

func TestConnectionsAreNumbered(t *testing.T) {
	s := fakeprovider.New(t, fakeprovider.HTTP1Only(), fakeprovider.Keep(2))
	shared := s.Client()
	for _, c := range []*http.Client{shared, shared, s.Client()} {
		res, err := c.Post(s.URL(), "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	got := s.Requests()
	if len(got) != 2 || s.Count() != 3 {
		t.Fatalf("kept %d of %d", len(got), s.Count())
	}
	if got[0].Index != 1 || got[0].Connection != 1 || got[1].Connection != 2 || s.Connections() != 2 {
		t.Errorf("index %d, connections %d %d of %d", got[0].Index, got[0].Connection, got[1].Connection, s.Connections())
	}
}

func TestSequenceAndScriptNumbering(t *testing.T) {
	s := fakeprovider.New(t)
	s.Script(fakeprovider.Sequence(fakeprovider.JSON(500, "{}"), fakeprovider.JSON(200, "{}")))
	status := func() int {
		res, err := s.Client().Post(s.URL(), "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	if a, b, c := status(), status(), status(); a != 500 || b != 200 || c != 200 {
		t.Errorf("got %d %d %d", a, b, c)
	}
	s.Script(fakeprovider.Sequence(fakeprovider.JSON(404, "{}"), fakeprovider.JSON(200, "{}")))
	if a := status(); a != 404 {
		t.Errorf("a new script starts at %d", a)
	}
}

func TestProxyLeadsRealNamesHere(t *testing.T) {
	s := fakeprovider.New(t, fakeprovider.Names("dashscope.aliyuncs.com"))
	p := fakeprovider.NewProxy(t, map[string]*fakeprovider.Server{"dashscope.aliyuncs.com": s})
	c := s.Client()
	proxyURL := mustURL(t, p.URL())
	c.Transport.(*http.Transport).Proxy = http.ProxyURL(proxyURL)
	res, err := c.Post("https://dashscope.aliyuncs.com/v1/chat/completions", "application/json", strings.NewReader(`{"model":"q"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if r := s.Last(); r.SNI != "dashscope.aliyuncs.com" || r.Host != "dashscope.aliyuncs.com" {
		t.Errorf("SNI %q, host %q", r.SNI, r.Host)
	}
	if a := p.Asked(); len(a) != 1 || a[0] != "dashscope.aliyuncs.com:443" {
		t.Errorf("asked %q", a)
	}
	if _, err := c.Get("https://api.openai.com/"); err == nil {
		t.Error("a name without a route was let out")
	}
}

func TestMuteNeverSpeaks(t *testing.T) {
	c, err := net.Dial("tcp", fakeprovider.Mute(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte("hello"))
	if err := c.SetReadDeadline(soon()); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || !os.IsTimeout(err) {
		t.Errorf("read %d, %v", n, err)
	}
}
