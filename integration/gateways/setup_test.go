// Package gateways_test tests the ports that the built gateway opens for Istio
// Gateways.
package gateways_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

const config = `{
	shutdown_delay 0s
	llm {
		status_listen off
		source files {{.Path}} {
			namespace istio-system
			labels istio=ingressgateway
			port_map 80:{{.HTTP}} 443:{{.HTTPS}} 81:{{.Other}}
			interval 20ms
		}
	}
}
{{.Sites}}
`

const manifestFile = "live/manifests.yaml"

// base is what all manifests have: a provider, and a route for everything of the
// Gateway.
const base = `apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: p, namespace: istio-system}
spec:
  host: dashscope.aliyuncs.com
  path: /compatible-mode/v1/chat/completions
  configs: {defaultConfig: {openAIConfig: {model: qwen1.5-72b-chat, apiKey: sk-gateways}}}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: r}
spec:
  host: "*"
  gateways: [istio-system/gw]
  rules: [{backendRefs: [{providerHost: dashscope.aliyuncs.com}]}]
---
`

// gatewayObject is the Gateway with its servers, one a line.
func gatewayObject(servers ...string) string {
	return `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers:
  - ` + strings.Join(servers, "\n  - ") + "\n---\n"
}

// server is an HTTP server of the Gateway.
func server(port int, hosts string) string {
	return fmt.Sprintf("{port: {number: %d, name: http, protocol: HTTP}, hosts: [%s]}", port, hosts)
}

// secureServer is an HTTPS server of the Gateway.
func secureServer(hosts, mode, credential string) string {
	return fmt.Sprintf("{port: {number: 443, name: https, protocol: HTTPS}, hosts: [%s], tls: {mode: %s, credentialName: %s}}", hosts, mode, credential)
}

// world is a gateway with its provider.
type world struct {
	*gateway.Gateway
	t           testing.TB
	params      map[string]any
	provider    *fakeprovider.Server
	http, https string // addresses
	other       string
}

// start starts a gateway on the manifests.
func start(t testing.TB, manifests, sites string) *world {
	t.Helper()
	p := fakeprovider.New(t, fakeprovider.Names("dashscope.aliyuncs.com"))
	proxy := fakeprovider.NewProxy(t, map[string]*fakeprovider.Server{"dashscope.aliyuncs.com": p})
	dir := t.TempDir()
	w := &world{t: t, provider: p, params: map[string]any{
		"Path": filepath.Join(dir, manifestFile), "HTTP": gateway.FreePort(t), "HTTPS": gateway.FreePort(t), "Other": gateway.FreePort(t), "Sites": sites,
	}}
	at := func(name string) string { return fmt.Sprint("127.0.0.1:", w.params[name]) }
	w.http, w.https, w.other = at("HTTP"), at("HTTPS"), at("Other")
	w.params["Sites"] = strings.ReplaceAll(sites, "HTTP_PORT", fmt.Sprint(w.params["HTTP"]))
	w.Gateway = gateway.Start(t, gateway.Render(t, config, w.params), gateway.In(dir), gateway.File(manifestFile, base+manifests),
		gateway.Env("HTTPS_PROXY", proxy.URL()), gateway.Env("SSL_CERT_FILE", p.CAFile()))
	return w
}

// apply replaces the manifests.
func (w *world) apply(manifests string) { w.WriteFile(manifestFile, base+manifests) }

const chat = `{"messages":[{"role":"user","content":"hello"}]}`

// post sends a chat completion and returns the status and body, or 0 and why
// there is none.
func post(c *http.Client, url, host string) (int, string) {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(chat))
	if err != nil {
		return 0, err.Error()
	}
	req.Host = host
	req.Header.Set("Content-Type", "application/json")
	res, err := c.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(body)
}

// client makes a client with connections of its own. It connects to address
// whatever the URL says, and follows no redirect.
func client(t testing.TB, address string, config *tls.Config) *http.Client {
	t.Helper()
	tr := &http.Transport{
		TLSClientConfig: config, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{
		Transport: tr, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// until waits for what it asks.
func until(t testing.TB, what string, ask func() (ok bool, got string)) {
	t.Helper()
	last := ""
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var ok bool
		if ok, last = ask(); ok {
			return
		}
	}
	t.Fatalf("%s did not come; the last was: %s", what, last)
}

// answers waits until a request for a host is answered with a status.
func (w *world) answers(c *http.Client, url, host string, want int) {
	w.t.Helper()
	until(w.t, fmt.Sprintf("%d for %s at %s", want, host, url), func() (bool, string) {
		status, body := post(c, url, host)
		return status == want, fmt.Sprint(status, " ", body)
	})
}

// answersAnew is answers with a connection of its own for each request.
func (w *world) answersAnew(config *tls.Config, host string, want int) {
	w.t.Helper()
	until(w.t, fmt.Sprintf("%d for %s", want, host), func() (bool, string) {
		status, body := post(client(w.t, w.https, config.Clone()), "https://"+host, host)
		return status == want, fmt.Sprint(status, " ", body)
	})
}

// listeners is what GET /llm says of the gateway's own listeners.
func (w *world) listeners() (out []struct {
	Address string `json:"address"`
	Problem string `json:"problem"`
}) {
	w.t.Helper()
	_, body := w.AdminGet("/llm")
	var view struct {
		Listeners json.RawMessage `json:"listeners"`
	}
	if err := json.Unmarshal(body, &view); err != nil {
		w.t.Fatal(err)
	}
	if len(view.Listeners) > 0 {
		if err := json.Unmarshal(view.Listeners, &out); err != nil {
			w.t.Fatal(err)
		}
	}
	return out
}

// authority issues certificates for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate, for a server and a client alike, and its key.
func (a *authority) issue(t testing.TB, number int64, names ...string) (chain, key string) {
	t.Helper()
	return a.issueFor(t, number, names, nil)
}

// issueID makes a certificate with a SPIFFE ID, which is given without spiffe://.
func (a *authority) issueID(t testing.TB, number int64, id string) (chain, key string) {
	t.Helper()
	trustDomain, path, _ := strings.Cut(id, "/")
	return a.issueFor(t, number, nil, []*url.URL{{Scheme: "spiffe", Host: trustDomain, Path: "/" + path}})
}

func (a *authority) issueFor(t testing.TB, number int64, names []string, ids []*url.URL) (chain, key string) {
	t.Helper()
	k := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(number), Subject: pkix.Name{CommonName: "gateway test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: names, URIs: ids, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &k.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// trusting is a client's TLS configuration.
func (a *authority) trusting(t testing.TB, own ...string) *tls.Config {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AddCert(a.cert)
	if len(own) == 2 {
		pair, err := tls.X509KeyPair([]byte(own[0]), []byte(own[1]))
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

// secretObject is a Secret with pairs of keys and values.
func secretObject(name string, values ...string) string {
	out := "apiVersion: v1\nkind: Secret\nmetadata: {name: " + name + ", namespace: istio-system}\nstringData:\n"
	for i := 0; i < len(values); i += 2 {
		out += "  " + values[i] + ": |\n    " + strings.ReplaceAll(strings.TrimSpace(values[i+1]), "\n", "\n    ") + "\n"
	}
	return out + "---\n"
}
