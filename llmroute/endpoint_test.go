package llmroute

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// ask sends a request to a gateway.
func ask(t *testing.T, g *gateway, method, path string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, g.URL+path, strings.NewReader(`{"model":"m","messages":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	res, err := g.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// A path that is no endpoint at every provider is one only where a backend of the
// rule has it.
func TestPathsOfTheRulesProviders(t *testing.T) {
	u := newUpstream(t, answers("x"))
	a, b, other := unique("a"), unique("b"), unique("other")
	g := newGateway(t, providers(a, u.provider(`"path":"/generate/text"`), b, u.provider(`"path":"/models/chat/completions"`), other, u.provider(`"path":"/other"`)),
		fmt.Sprintf(`{"rules":[
			{"name":"r","match":[{"header":{"Rule":["r"]}},{"llm_model":{"models":["none"]}}],"backends":[{"provider":%q},{"provider":%q}]},
			{"name":"o","backends":[{"provider":%q}]}]}`, a, b, other))
	for _, test := range []struct {
		method, path, rule string
		status             int
		code               string
	}{
		{"POST", "/generate/text", "r", 200, ""},
		{"POST", "/generate/text/", "r", 200, ""},
		{"POST", "/models/chat/completions", "r", 200, ""},
		{"GET", "/generate/text", "r", 405, "method_not_allowed"},
		{"POST", "/other", "r", 404, "unsupported_endpoint"},
		{"POST", "/other", "", 200, ""},
		{"POST", "/generate/text", "", 404, "unsupported_endpoint"},
		{"POST", "/models/chat/completions", "", 404, "unsupported_endpoint"},
		{"POST", "/models/embeddings", "", 404, "unsupported_endpoint"},
		{"POST", "/generate//text", "r", 404, "unsupported_endpoint"},
		{"POST", "/", "r", 200, ""},
		{"POST", "/", "", 200, ""},
		{"POST", "/healthz", "r", 404, "unsupported_endpoint"},
		{"GET", "/healthz", "r", 404, "unsupported_endpoint"},
		{"POST", "/v1/messages/count_tokens", "r", 404, "not_found_error"},
		{"POST", "/v1beta/models/x:predict", "r", 404, "NOT_FOUND"},
	} {
		before := u.count()
		res, body := ask(t, g, test.method, test.path, "Rule", test.rule)
		if res.StatusCode != test.status || !strings.Contains(body, test.code) || (u.count() > before) != (test.status == 200) {
			t.Errorf("%s %s by rule %q: %d %s, and %d requests at the provider", test.method, test.path, test.rule, res.StatusCode, body, u.count()-before)
		}
		for len(u.requests) > 0 {
			<-u.requests
		}
	}
}

func TestAWebSocketForResponsesGets426(t *testing.T) {
	u := newUpstream(t, answers("x"))
	p := unique("p")
	g := newGateway(t, providers(p, u.provider("")), fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
	res, body := ask(t, g, "GET", "/v1/responses", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-Websocket-Version", "13", "Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	if res.StatusCode != http.StatusUpgradeRequired || res.Header.Get("Upgrade") != "HTTP/1.1" || res.Header.Get("Connection") != "Upgrade" || !strings.Contains(body, `"websocket_unsupported"`) {
		t.Errorf("%d %v %s", res.StatusCode, res.Header, body)
	}
	if res, body := ask(t, g, "GET", "/v1/responses"); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Upgrade") != "" {
		t.Errorf("%d %v %s", res.StatusCode, res.Header, body)
	}
	if u.count() != 0 {
		t.Errorf("the provider got %d requests", u.count())
	}
}
