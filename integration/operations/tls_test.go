package operations_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

// tlsConfig has one provider, whose name is not this machine's: it is reached
// through a proxy.
const tlsConfig = `{
	llm {
		status_listen off
		provider api.example.com {
			path /v1/chat/completions?api-version=2
{{.Options}}
		}
	}
}
http://:{{.Port}} {
	log
	llm_route {
		to api.example.com
	}
}
`

// secured is a gateway in front of a provider over TLS.
type secured struct {
	*gateway.Gateway
	port int
}

func startTLS(t *testing.T, up *fp.Server, options string, more ...gateway.Option) secured {
	t.Helper()
	proxy := fp.NewProxy(t, map[string]*fp.Server{"api.example.com": up})
	port := gateway.FreePort(t)
	return secured{gateway.Start(t, gateway.Render(t, tlsConfig, map[string]any{"Port": port, "Options": options}),
		append(more, gateway.Env("HTTPS_PROXY", proxy.URL()))...), port}
}

// A provider over TLS with its own CA is asked by its own name, in the protocol
// it has, on few connections.
func TestTLSToTheProvider(t *testing.T) {
	for _, tc := range []struct {
		name    string
		options []fp.Option
		proto   string
		trust   string // in the provider's block; without it, by the system's roots
	}{
		{"HTTP/2", []fp.Option{fp.HTTP2Only()}, "HTTP/2.0", ""},
		{"HTTP/1.1", []fp.Option{fp.HTTP1Only()}, "HTTP/1.1", ""},
		{"both, trusted by a file", nil, "HTTP/2.0", "\t\t\ttls_trust_pool file ca.pem"},
		{"HTTP/1.1, trusted by the transport", []fp.Option{fp.HTTP1Only()}, "HTTP/1.1", "\t\t\ttransport http {\n\t\t\t\ttls_trust_pool file {\n\t\t\t\t\tpem_file ca.pem\n\t\t\t\t}\n\t\t\t}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			up := fp.New(t, append(tc.options, fp.Names("api.example.com"))...)
			ca, err := os.ReadFile(up.CAFile())
			if err != nil {
				t.Fatal(err)
			}
			more := []gateway.Option{gateway.File("ca.pem", string(ca))}
			if tc.trust == "" {
				more = append(more, gateway.Env("SSL_CERT_FILE", up.CAFile()))
			}
			g := startTLS(t, up, tc.trust, more...)
			for i := range 20 {
				stream := i%2 == 1
				a := post(t, g.port, "/v1/chat/completions?client=query", fmt.Sprintf(`{"stream":%t}`, stream), "Host", "gateway.internal", "X-Forwarded-For", "10.0.0.1", "Via", "1.1 x")
				if a.status != 200 || !strings.Contains(a.body, `"Hello`) || stream != strings.HasPrefix(a.header.Get("Content-Type"), "text/event-stream") {
					t.Fatalf("got %d %s", a.status, a.body)
				}
			}
			for _, r := range up.Requests() {
				if r.Proto != tc.proto || r.SNI != "api.example.com" || r.Host != "api.example.com" || r.Target != "/v1/chat/completions?api-version=2" {
					t.Fatalf("%s %s at %s (SNI %s)", r.Proto, r.Target, r.Host, r.SNI)
				}
				for name := range r.Header {
					if strings.HasPrefix(name, "X-Forwarded-") || name == "Via" || name == "Forwarded" || name == "X-Real-Ip" {
						t.Errorf("the provider received %s", name)
					}
				}
			}
			if n := up.Connections(); n != 1 {
				t.Errorf("%d connections for 20 requests in a row", n)
			}
			if err := g.ReloadForce(gateway.Render(t, tlsConfig, map[string]any{"Port": g.port, "Options": tc.trust})); err != nil {
				t.Fatal(err)
			}
			postAfterReload(t, g.port, "/", `{}`)
			if n := up.Connections(); n != 1 {
				t.Errorf("%d connections after a reload", n)
			}
		})
	}
}

// A provider whose certificate is no good is never sent a request. The client
// gets a 502 that tells nothing of the inside, the log the reason.
func TestTLSFailures(t *testing.T) {
	const name = "api.example.com"
	for _, tc := range []struct {
		name    string
		options []fp.Option
		trusted bool   // the gateway trusts the test's CA
		config  string // in the provider's block
		reason  string // in the log
	}{
		{"unknown CA", []fp.Option{fp.Names(name)}, false, "", "certificate signed by unknown authority"},
		{"expired", []fp.Option{fp.Names(name), fp.Expired()}, true, "", "certificate has expired"},
		{"another name", []fp.Option{fp.Names("other.example.com")}, true, "", "not api.example.com"},
		{"another name wanted", []fp.Option{fp.Names(name)}, true, "\t\t\ttls_server_name wanted.example.com", "not wanted.example.com"},
		{"no TLS at all", []fp.Option{fp.Plain(), fp.HTTP1Only()}, true, "", "first record does not look like a TLS handshake"},
		{"another CA only", []fp.Option{fp.Names(name)}, true, "\t\t\ttls_trust_pool file other.pem", "certificate signed by unknown authority"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			up := fp.New(t, tc.options...)
			more := []gateway.Option{gateway.File("other.pem", otherCA)}
			if tc.trusted {
				more = append(more, gateway.Env("SSL_CERT_FILE", up.CAFile()))
			}
			g := startTLS(t, up, tc.config, more...)
			for _, body := range []string{`{}`, `{"stream":true}`} {
				a := post(t, g.port, "/", body)
				if a.status != 502 || !strings.Contains(a.body, `"code":"provider_unreachable"`) || a.header.Get("Content-Type") != "application/json" {
					t.Errorf("got %d %v %s", a.status, a.header, a.body)
				}
				if strings.Contains(a.body, "x509") || strings.Contains(a.body, "127.0.0.1") {
					t.Errorf("the response tells of the inside: %s", a.body)
				}
			}
			line := g.WaitLog(tc.reason)
			if line.Level != "error" && line.Level != "warn" || line.Fields["provider"] != name || line.Fields["host"] != name {
				t.Errorf("the log says %s", line.Raw)
			}
			if up.Count() != 0 {
				t.Errorf("the provider received %d requests", up.Count())
			}
		})
	}
}

// A certificate that becomes good is accepted without a restart, and skipping
// the check is possible where it is asked for.
func TestTLSRecovers(t *testing.T) {
	bad := fp.New(t, fp.Names("api.example.com"), fp.Expired())
	good := fp.New(t, fp.Names("api.example.com"))
	proxy := fp.NewProxy(t, map[string]*fp.Server{"api.example.com": bad})
	port := gateway.FreePort(t)
	g := gateway.Start(t, gateway.Render(t, tlsConfig, map[string]any{"Port": port, "Options": ""}),
		gateway.Env("HTTPS_PROXY", proxy.URL()), gateway.Env("SSL_CERT_FILE", bad.CAFile()))
	if a := post(t, port, "/", `{}`); a.status != 502 {
		t.Errorf("expired: %d %s", a.status, a.body)
	}
	proxy.Route("api.example.com", good)
	if a := post(t, port, "/", `{}`); a.status != 200 {
		t.Errorf("renewed: %d %s", a.status, a.body)
	}
	proxy.Route("api.example.com", bad)
	if err := g.Reload(gateway.Render(t, tlsConfig, map[string]any{"Port": port, "Options": "\t\t\ttls_insecure_skip_verify"})); err != nil {
		t.Fatal(err)
	}
	if a := postAfterReload(t, port, "/", `{}`); a.status != 200 || bad.Count() != 1 {
		t.Errorf("not checked: %d %s", a.status, a.body)
	}
}

// A provider that accepts connections and never says a word is given up in time.
func TestTLSHandshakeThatHangs(t *testing.T) {
	port := gateway.FreePort(t)
	g := gateway.Start(t, gateway.Render(t, `{
	llm {
		status_listen off
		provider mute https://{{.Mute}} {
			dial_timeout 1s
		}
	}
}
http://:{{.Port}} {
	llm_route {
		to mute
	}
}
`, map[string]any{"Mute": fp.Mute(t), "Port": port}))
	began := time.Now()
	a := post(t, port, "/", `{}`)
	if took := time.Since(began); a.status != 504 || !strings.Contains(a.body, `"code":"provider_timeout"`) || took > 10*time.Second {
		t.Errorf("after %v %d %s", took, a.status, a.body)
	}
	if line := g.WaitLog("took too long"); line.Fields["provider"] != "mute" {
		t.Errorf("the log says %s", line.Raw)
	}
}

// A CA file that is not there, or is none, is an error at the start that names
// it.
func TestBadCAFiles(t *testing.T) {
	for file, content := range map[string]string{"missing.pem": "", "broken.pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		t.Run(file, func(t *testing.T) {
			var more []gateway.Option
			if content != "" {
				more = append(more, gateway.File(file, content))
			}
			_, err := gateway.TryStart(t, gateway.Render(t, tlsConfig, map[string]any{"Port": gateway.FreePort(t), "Options": "\t\t\ttls_trust_pool file " + file}), more...)
			if err == nil || !strings.Contains(err.Error(), "transport") || content == "" && !strings.Contains(err.Error(), file) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// otherCA is a self-signed CA that has signed nothing.
const otherCA = `-----BEGIN CERTIFICATE-----
MIIBgDCCASegAwIBAgIUSDKAsI7ecPLTJGYuinSu+Ef2US4wCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKYW5vdGhlciBDQTAgFw0yNjExMjIxMjI1MzhaGA8yMTI2MTAy
OTEyMjUzOFowFTETMBEGA1UEAwwKYW5vdGhlciBDQTBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABDKOVokSMepjqMLZ3wgHfO4wXn9JseldATPEthWYrUpg+MRvWZh0
ACQtDWtXaUdoY1xXDVU+lqNn7f+/1kYFEzGjUzBRMB0GA1UdDgQWBBSKVmXKPDIi
q6UaLj1sITkm0f7j0jAfBgNVHSMEGDAWgBSKVmXKPDIiq6UaLj1sITkm0f7j0jAP
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIHibM/HsVzwZa6GpA50/
a1okGyd887xPIBuedqMtn4H3AiAfKjzM9F+NTfhIjNr1beUxvKZuBcqHrAsjXs7Z
eFb2CA==
-----END CERTIFICATE-----
`
