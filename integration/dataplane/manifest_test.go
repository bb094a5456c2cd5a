package dataplane_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

// filesConfig is a site over the mesh table of a manifest; .Mark makes a reload
// a real one.
const filesConfig = `{
	llm {
		status_listen 127.0.0.1:{{.Status}}
		source files {{.Path}} {
			namespace demo
			interval {{.Interval}}
		}
	}
}
http://:{{.Port}} {
	header X-Mark {{.Mark}}
	llm_route {
		table mesh
	}
}
`

// demoHost is the host of the route in the manifests.
const demoHost = "demo-llm-server"

// backend is a provider with its weight in the route.
type backend struct {
	host   string
	weight int
}

// version names a state of the manifest; answers carry it as their model.
func version(n int) string { return fmt.Sprint("version-", n) }

// secretOf is the key of a provider in the manifests.
func secretOf(host string) string { return "sk-kept-to-itself-" + host }

// manifest is a file with providers and a route over them. Everything in it
// carries the version.
func manifest(n int, backends ...backend) string {
	var out strings.Builder
	for _, b := range backends {
		out.WriteString(providerObject(n, b.host))
	}
	fmt.Fprintf(&out, `apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata:
  name: demo
  namespace: demo
spec:
  host: %s
  rules:
  - name: %s
    backendRefs:
`, demoHost, version(n))
	for _, b := range backends {
		fmt.Fprintf(&out, "    - providerHost: %s\n      weight: %d\n", b.host, b.weight)
	}
	return out.String()
}

// providerObject is an LLMProvider and the line that separates it from what
// follows.
func providerObject(n int, host string) string {
	return fmt.Sprintf(`apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata:
  name: %s
  namespace: demo
spec:
  host: %s
  path: /v1/chat/completions
  configs:
    defaultConfig:
      openAIConfig:
        model: %s
        apiKey: %s
---
`, host, host, version(n), secretOf(host))
}

const manifestFile = "live/manifest.yaml"

// startFiles starts a gateway on a manifest, with a fake provider for each host.
func startFiles(t *testing.T, interval, first string, hosts ...string) (*site, map[string]*fakeprovider.Server) {
	t.Helper()
	servers := map[string]*fakeprovider.Server{}
	ca := ""
	for _, host := range hosts {
		servers[host] = newNamed(t, host)
		ca = servers[host].CAFile()
	}
	proxy := fakeprovider.NewProxy(t, servers)
	dir := t.TempDir()
	s := startSite(t, filesConfig, map[string]any{"Path": filepath.Join(dir, manifestFile), "Interval": interval, "Mark": "one"},
		gateway.In(dir), gateway.File(manifestFile, first), gateway.Env("HTTPS_PROXY", proxy.URL()), gateway.Env("SSL_CERT_FILE", ca))
	return s, servers
}
