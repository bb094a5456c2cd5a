package dataplane_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/testclient"
)

const endpointsConfig = `{
	llm {
		status_listen 127.0.0.1:{{.Status}}
		provider chat {{.Provider}}/base/v1/chat/completions {
			model configured
			api responses
			stream off
		}
		provider own {{.Provider}}/generate/text
		source files {{.Objects}}
	}
}
http://:{{.Port}} {
	llm_route {
		rule own {
			match header rule own
			to own
		}
		rule default {
			to chat
		}
	}
}
http://:{{.Mesh}} {
	llm_route {
		table mesh
	}
}
`

const endpointsObjects = `apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: own, namespace: default}
spec:
  host: own.example.com
  path: /compatible/generate
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: bad, namespace: default}
spec:
  host: bad.example.com
  path: /compatible/generate
  configs: {defaultConfig: {openAIConfig: {apiKey: "<your-api-key>"}}}
`

// A path is an endpoint or 404: no path becomes a completion that nobody asked
// for.
func TestEndpoints(t *testing.T) {
	provider := fakeprovider.New(t, fakeprovider.Plain(), fakeprovider.HTTP1Only())
	mesh := gateway.FreePort(t)
	s := startSite(t, endpointsConfig, map[string]any{"Provider": provider.URL(), "Mesh": mesh, "Objects": "objects.yaml"}, gateway.File("objects.yaml", endpointsObjects))
	ask := func(t *testing.T, method, url string, header ...string) (int, http.Header, string) {
		t.Helper()
		r := testclient.Send(t, method, url, `{"model":"m","messages":[],"stream":true}`, header...)
		return r.Status, r.Header, r.Body
	}
	const filled, own, streamed, as = `{"model":"configured","messages":[],"stream":false}`, "own", `{"model":"configured","messages":[],"stream":true}`, `{"model":"m","messages":[],"stream":true}`
	for _, test := range []struct{ path, rule, sent, body string }{
		{"/", "", "/base/v1/chat/completions", filled},
		{"/team/v1/chat/completions/", "", "/base/v1/chat/completions", filled},
		{"/v1/responses", "", "/base/v1/responses", filled},
		{"/v1/responses/input_tokens", "", "/base/v1/responses/input_tokens", streamed},
		{"/responses/compact", "", "/base/v1/responses/compact", streamed},
		{"/v1/embeddings/", "", "/base/v1/embeddings", as},
		{"/tokenize", "", "/base/v1/tokenize", as},
		{"/v1/score", "", "/base/v1/score", as},
		{"/openai/deployments/d/embeddings?api-version=1", "", "/base/v1/embeddings", `{"model":"d","messages":[],"stream":true}`},
		{"/generate/text", own, "/generate/text", ""},
		{"/base/v1/rerank", "", "/base/v1/rerank", as},
	} {
		provider.Reset()
		status, _, body := ask(t, "POST", s.url+test.path, "rule", test.rule)
		last := provider.Last()
		if status != 200 || last == nil || last.Path != test.sent || test.body != "" && string(last.Body) != test.body {
			t.Errorf("POST %s: %d %s, and the provider got %+v", test.path, status, body, last)
		}
	}

	provider.Reset()
	for _, path := range []string{
		"/healthz", "/v1", "/v1/tokens/count", "/v1/messages/batches", "/v1beta/models/x:predict", "/v1/files", "/assistants", "/v1/responses/r1/x",
		"/v1/chat/embeddings", "/v1//embeddings", "/V1/embeddings", "/v1/embeddings%2F", "/v1/./embeddings", "/v1/embeddings;x", "/v1/%65mbeddings", "/generate/text",
	} {
		for _, method := range []string{"POST", "GET", "DELETE", "PUT"} {
			status, _, body := ask(t, method, s.url+path)
			if status != 404 || !strings.Contains(body, path[strings.LastIndexByte(path, '/')+1:]) {
				t.Errorf("%s %s: %d %s", method, path, status, body)
			}
		}
	}
	for _, test := range []struct {
		host, path string
		status     int
		code       string
	}{
		{"own.example.com", "/compatible/generatx", 404, "unsupported_endpoint"},
		{"bad.example.com", "/compatible/generate", 503, "no_usable_backend"},
		{"bad.example.com", "/v1/models", 503, "no_usable_backend"},
		{"none.example.com", "/compatible/generate", 404, "no_route"},
		{"none.example.com", "/v1/models", 404, "no_route"},
	} {
		method := "POST"
		if strings.HasSuffix(test.path, "/models") {
			method = "GET"
		}
		if status, _, body := ask(t, method, fmt.Sprintf("http://127.0.0.1:%d%s", mesh, test.path), "Host", test.host); status != test.status || !strings.Contains(body, test.code) {
			t.Errorf("%s%s: %d %s", test.host, test.path, status, body)
		}
	}
	status, header, body := ask(t, "GET", s.url+"/v1/responses", "Connection", "Upgrade", "Upgrade", "websocket")
	if status != 426 || header.Get("Upgrade") == "" || !strings.Contains(body, "websocket_unsupported") {
		t.Errorf("a WebSocket: %d %v %s", status, header, body)
	}
	if n := provider.Count(); n != 0 {
		t.Errorf("the provider got %d requests, want none", n)
	}
}
