package caddyfile

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	// A test adapts what real sites hold.
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func mockAdapt(in string) (string, error) {
	adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
	out, _, err := adapter.Adapt([]byte(in), map[string]any{"filename": "Caddyfile"})
	return string(out), err
}

func TestMockAdapt(t *testing.T) {
	got, err := mockAdapt(`:8080 {
	respond "the mock comes first" 404
	llm_mock /v1/* {
		latency 5ms
		status 429 0.5
	}
}
`)
	const want = `{"apps":{"http":{"servers":{"srv0":{"listen":[":8080"],"routes":[` +
		`{"match":[{"path":["/v1/*"]}],"handle":[{"handler":"llm_mock","latency":5000000,"status":429,"status_ratio":0.5}]},` +
		`{"handle":[{"body":"the mock comes first","handler":"static_response","status_code":404}]}]}}}}}`
	if err != nil || got != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
}

func TestMockAdaptErrors(t *testing.T) {
	_, err := mockAdapt(":8080 {\n\tllm_mock {\n\t\tlatency fast\n\t}\n}\n")
	if err == nil || !strings.Contains(err.Error(), `latency is "fast"; expected a duration`) || !strings.Contains(err.Error(), "Caddyfile:3") {
		t.Error(err)
	}
}
