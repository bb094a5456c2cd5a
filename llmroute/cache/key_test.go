package cache

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/filter"
)

// asked is a request as a test writes it.
type asked struct {
	method, target, host, original, port string
	body                                 string
	headers                              [][2]string
	claims                               map[string][]string
	call                                 filter.Call
	to                                   filter.Target
	sent                                 filter.Sent
	scope                                Scope
	secret                               string
}

// usual is the request that others differ from.
func usual(scope Scope) *asked {
	return &asked{
		method: "POST", target: "/v1/chat/completions?a=b", host: "llm.example.com", original: "/x/v1/chat/completions", port: "8080", scope: scope, secret: "secret",
		body:    `{"model":"m","stream":false,"messages":[{"role":"user","content":"hi"}]}`,
		headers: [][2]string{{"Content-Type", "application/json"}, {"Openai-Beta", "x"}, {"Cookie", "hidden"}},
		claims:  map[string][]string{"iss": {"https://a"}, "sub": {"b/c"}},
		call: filter.Call{
			Client: filter.Client{Name: "alice", Realm: "keys", Principal: "https://a/b/c"}, Rule: "rule", Table: "table", Gateway: "gateway",
			Route: filter.Object{Kind: "LLMRoute", Namespace: "ns", Name: "name"}, Workload: "shop", Namespace: "default",
		},
		to: filter.Target{Provider: "p", Model: "m"},
	}
}

// made is the request as filters see it.
func (a *asked) made(t testing.TB) *filter.Call {
	t.Helper()
	r := httptest.NewRequest(a.method, a.target, strings.NewReader(a.body))
	r.Host = a.host
	for _, h := range a.headers {
		r.Header.Add(h[0], h[1])
	}
	ctx := context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: len(a.port)*1000 + int(a.port[0])}))
	original := r.Clone(ctx)
	original.URL.Path = a.original
	ctx = context.WithValue(ctx, caddyhttp.OriginalRequestCtxKey, *original)
	r = r.WithContext(ctx)
	in, refused := llmprovider.NewInbound(r)
	if refused == nil {
		refused = in.Read(r, 1<<20)
	}
	if refused != nil {
		t.Fatalf("%s %s: %v", a.target, a.body, refused)
	}
	c := a.call
	c.Request, c.Inbound, c.Header = r, in, make(http.Header)
	if a.claims != nil {
		c.Client.Claim = func(path []string) []string { return a.claims[path[0]] }
	}
	c.Provider, c.Model = a.to.Provider, a.to.Model
	sent := a.sent
	sent.Forwards = func(name string) bool { return name != "Cookie" }
	c.Sent = &sent
	return &c
}

func (a *asked) key(t testing.TB) Key {
	t.Helper()
	c := a.made(t)
	to := a.to
	to.Sent = c.Sent
	return keyOf([]byte(a.secret), a.scope, c, &to)
}

// changes are the requests that differ in one thing from the usual one, and may so have
// another response.
var changes = map[string]func(a *asked){
	"secret":            func(a *asked) { a.secret = "other" },
	"table":             func(a *asked) { a.call.Table = "other" },
	"gateway":           func(a *asked) { a.call.Gateway = "other" },
	"route's kind":      func(a *asked) { a.call.Route.Kind = "other" },
	"route's namespace": func(a *asked) { a.call.Route.Namespace = "other" },
	"route's name":      func(a *asked) { a.call.Route.Name = "other" },
	"rule":              func(a *asked) { a.call.Rule = "other" },
	"provider":          func(a *asked) { a.to.Provider = "other" },
	"configuration":     func(a *asked) { a.sent.Config[31] = 1 },
	"model sent":        func(a *asked) { a.to.Model = "other" },
	"stream sent":       func(a *asked) { a.sent.Stream = true },
	"strict":            func(a *asked) { a.sent.Strict = true },
	"API":               func(a *asked) { a.target = "/v1/messages?a=b" },
	"operation":         func(a *asked) { a.target = "/v1/embeddings?a=b" },
	"path's escapes":    func(a *asked) { a.target = "/v1beta/models/a%2Fb:generateContent?a=b" },
	"path":              func(a *asked) { a.target = "/v1beta/models/a/b:generateContent?a=b" },
	"query":             func(a *asked) { a.target = "/v1/chat/completions?a=c" },
	"no query":          func(a *asked) { a.target = "/v1/chat/completions" },
	"header":            func(a *asked) { a.headers[1][1] = "y" },
	"header's case":     func(a *asked) { a.headers[1][1] = "X" },
	"another header":    func(a *asked) { a.headers = append(a.headers, [2]string{"X-Unknown", "1"}) },
	"header twice":      func(a *asked) { a.headers = append(a.headers, [2]string{"Openai-Beta", "x"}) },
	"no header":         func(a *asked) { a.headers = a.headers[:1] },
	"header split":      func(a *asked) { a.headers = append(a.headers, [2]string{"Openai-Betax", ""}) },
	"system":            body(`{"model":"m","stream":false,"messages":[{"role":"system","content":"hi"}]}`),
	"model":             body(`{"model":"n","stream":false,"messages":[{"role":"user","content":"hi"}]}`),
	"stream":            body(`{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`),
	"text":              body(`{"model":"m","stream":false,"messages":[{"role":"user","content":"ho"}]}`),
	"text's case":       body(`{"model":"m","stream":false,"messages":[{"role":"user","content":"Hi"}]}`),
	"earlier message":   body(`{"model":"m","stream":false,"messages":[{"role":"user","content":"a"},{"role":"user","content":"hi"}]}`),
	"no stream":         body(`{"model":"m","messages":[{"role":"user","content":"hi"}]}`),
	"parts":             body(`{"model":"m","stream":false,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}`),
	"order inside":      body(`{"model":"m","stream":false,"messages":[{"content":"hi","role":"user"}]}`),
	"seed twice":        body(`{"model":"m","seed":1,"Seed":1,"stream":false,"messages":[{"role":"user","content":"hi"}]}`),
	"seed twice, x":     body(`{"model":"m","seed":1,"Seed":2,"stream":false,"messages":[{"role":"user","content":"hi"}]}`),
	"seed twice, back":  body(`{"model":"m","Seed":2,"seed":1,"stream":false,"messages":[{"role":"user","content":"hi"}]}`),
}

// settings are the members of bodies in the documentation of the APIs, and one that is not
// there: each of them, with a value, changes the key.
var settings = []string{
	`"temperature":0`, `"temperature":0.0`, `"temperature":1`, `"top_p":0.5`, `"top_k":4`, `"n":2`, `"seed":1`, `"seed":2`, `"stop":"x"`, `"stop":["x"]`, `"max_tokens":5`,
	`"max_completion_tokens":5`, `"max_output_tokens":5`, `"presence_penalty":1`, `"frequency_penalty":1`, `"logit_bias":{"1":2}`, `"logprobs":true`, `"top_logprobs":2`,
	`"response_format":{"type":"json_object"}`, `"tools":[{"type":"function","function":{"name":"f"}}]`, `"tools":[{"type":"function","function":{"name":"g"}}]`,
	`"tool_choice":"none"`, `"parallel_tool_calls":false`, `"functions":[]`, `"function_call":"none"`, `"user":"a"`, `"user":"b"`, `"metadata":{"a":"b"}`, `"service_tier":"flex"`,
	`"reasoning_effort":"low"`, `"reasoning":{"effort":"low"}`, `"verbosity":"low"`, `"modalities":["text"]`, `"prediction":{"type":"content","content":"x"}`, `"stream_options":{"include_usage":true}`,
	`"safety_identifier":"x"`, `"prompt_cache_key":"x"`, `"system":"x"`, `"thinking":{"type":"enabled"}`, `"stop_sequences":["x"]`, `"instructions":"x"`, `"input":"x"`, `"text":{"format":{"type":"text"}}`,
	`"truncation":"auto"`, `"include":["x"]`, `"store":false`, `"contents":[]`, `"generationConfig":{"temperature":0}`, `"safetySettings":[]`, `"systemInstruction":{"parts":[]}`, `"toolConfig":{}`,
	`"dimensions":5`, `"encoding_format":"base64"`, `"guided_json":{}`, `"chat_template_kwargs":{"a":1}`, `"something_unknown":1`, `"something_unknown":2`, `"":1`,
}

func body(s string) func(a *asked) { return func(a *asked) { a.body = s } }

// TestKeys holds that requests that differ in one thing never have one key, whatever the
// scope, and neither have two that differ in two things.
func TestKeys(t *testing.T) {
	for _, scope := range []Scope{Client, Workload, Route, Everyone} {
		keys := map[Key]string{}
		add := func(name string, a *asked) {
			t.Helper()
			key := a.key(t)
			if other, ok := keys[key]; ok {
				t.Errorf("%s: %s and %s have one key", scope, name, other)
			}
			keys[key] = name
		}
		add("the usual request", usual(scope))
		for name, change := range changes {
			a := usual(scope)
			change(a)
			add(name, a)
		}
		for _, member := range settings {
			a := usual(scope)
			a.body = strings.TrimSuffix(a.body, "}") + "," + member + "}"
			add(member, a)
		}
	}
}

// TestScopes holds what tells clients apart in each scope, and that scopes share nothing.
func TestScopes(t *testing.T) {
	changes := map[string]struct {
		change func(a *asked)
		apart  []Scope
	}{
		"client":         {func(a *asked) { a.call.Client.Name = "bob" }, []Scope{Client}},
		"no client":      {func(a *asked) { a.call.Client.Name = "" }, []Scope{Client}},
		"realm":          {func(a *asked) { a.call.Client.Realm = "other" }, []Scope{Client, Route}},
		"subject":        {func(a *asked) { a.claims["sub"] = []string{"other"} }, []Scope{Client}},
		"issuer":         {func(a *asked) { a.claims["iss"] = []string{"other"} }, []Scope{Client, Route}},
		"same principal": {func(a *asked) { a.claims["iss"], a.claims["sub"] = []string{"https://a/b"}, []string{"c"} }, []Scope{Client, Route}},
		"no token":       {func(a *asked) { a.claims = nil }, []Scope{Client, Route}},
		"workload":       {func(a *asked) { a.call.Workload = "other" }, []Scope{Workload}},
		"namespace":      {func(a *asked) { a.call.Namespace = "other" }, []Scope{Workload}},
		"host":           {func(a *asked) { a.host = "other.example.com" }, []Scope{Route}},
		"port":           {func(a *asked) { a.port = "443" }, []Scope{Route}},
		"path called":    {func(a *asked) { a.original = "/y/v1/chat/completions" }, []Scope{Route}},
		"host's case":    {func(a *asked) { a.host = "LLM.example.com" }, nil},
		"hidden header":  {func(a *asked) { a.headers[2][1] = "other" }, nil},
		"program": {func(a *asked) {
			a.headers = append(a.headers, [2]string{"User-Agent", "x"}, [2]string{"X-Stainless-Os", "x"})
		}, nil},
		"id and trace": {func(a *asked) {
			a.headers = append(a.headers, [2]string{"X-Request-Id", "x"}, [2]string{"Traceparent", "x"})
		}, nil},
		"what caches read": {func(a *asked) { a.headers = append(a.headers, [2]string{"Cache-Control", "max-age=5"}) }, nil},
		"order of members": {body(`{"messages":[{"role":"user","content":"hi"}],"model":"m","stream":false}`), nil},
		"space between":    {body(` { "messages" : [{"role":"user","content":"hi"}] , "model":"m", "stream":false } `), nil},
	}
	seen := map[Key]Scope{}
	for _, scope := range []Scope{Client, Workload, Route, Everyone} {
		key := usual(scope).key(t)
		if other, ok := seen[key]; ok {
			t.Errorf("%s and %s have one key", scope, other)
		}
		seen[key] = scope
		for name, test := range changes {
			a := usual(scope)
			test.change(a)
			apart := false
			for _, s := range test.apart {
				apart = apart || s == scope
			}
			if (a.key(t) != key) != apart {
				t.Errorf("%s: %s: apart %v", scope, name, !apart)
			}
		}
	}
}

// FuzzFields holds that no two lists of fields have one key, however they are cut.
func FuzzFields(f *testing.F) {
	f.Add("ab", "c", "a", "bc")
	f.Add("", "a", "a", "")
	f.Add("\x00\x00\x00\x00\x00\x00\x00\x01a", "", "", "\x00\x00\x00\x00\x00\x00\x00\x01a")
	f.Add(strings.Repeat("a", 600), "b", strings.Repeat("a", 599), "ab")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		key := func(fields ...string) Key {
			h := newHasher([]byte("s"))
			for _, s := range fields {
				h.text(s)
			}
			return h.key()
		}
		if (key(a, b) == key(c, d)) != (a == c && b == d) {
			t.Errorf("%q %q and %q %q", a, b, c, d)
		}
		if key(a, b) == key(a+b) || a != "" && key(a) == key(a, "") {
			t.Errorf("%q %q", a, b)
		}
	})
}

// FuzzBody holds that two bodies have one key only if they are the same but for the order
// of members that no decoder takes for each other.
func FuzzBody(f *testing.F) {
	f.Add(`{"a":1,"b":2}`, `{"b":2,"a":1}`)
	f.Add(`{"a":1,"A":2}`, `{"A":2,"a":1}`)
	f.Add(`{"a_b":1,"aB":2}`, `{"aB":2,"a_b":1}`)
	f.Add("{\"\u017f\":1,\"s\":2}", "{\"s\":2,\"\u017f\":1}")
	f.Add(`{"\u0061":1,"a":2}`, `{"a":2,"\u0061":1}`)
	f.Add(`{"a":1,"a\u0000b":2}`, `{"a\u0000b":2,"a":1}`)
	f.Add("{\"a\":1,\"a\xff\":2}", "{\"a\xff\":2,\"a\":1}")
	f.Add(`{"a-b":1,"ab":2}`, `{"ab":2,"a-b":1}`)
	f.Add(`{"a":1}`, "\ufeff{\"a\":1}")
	f.Add(`[]`, `{}`)
	f.Fuzz(func(t *testing.T, a, b string) {
		key := func(s string) Key {
			h := newHasher(nil)
			h.body([]byte(s))
			return h.key()
		}
		if key(a) == key(b) && a != b && !sameMembers(a, b) {
			t.Errorf("%q and %q have one key", a, b)
		}
	})
}
