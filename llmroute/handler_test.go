package llmroute

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestRulesInOrder(t *testing.T) {
	u := newUpstream(t, answers("x"))
	p := unique("p")
	config := providers(p, u.provider(`"rules":{"vip":{"model":"m-vip"},"fast":{"model":"m-fast"},"any-mini":{"model":"m-mini"},"last":{"model":"m-last"}}`))
	to := fmt.Sprintf(`"backends":[{"provider":%q}]`, p)
	g := newGateway(t, config, `{"rules":[
		{"name":"vip","match":[{"header":{"User-Type":["subscriber"]}}],`+to+`},
		{"name":"fast","match":[{"llm_model":{"models":["fast"]}},{"llm_model":{"models":["quick"]}}],`+to+`},
		{"name":"any-mini","match":[{"llm_model":{"models":["*-mini*"]},"path":["/v1/*"]}],`+to+`},
		{"name":"last","match":[{"host":["last.example"]}],`+to+`}]}`)
	for name, test := range map[string]struct {
		body   string
		header []string
		model  string // that the provider gets, empty for a 404
	}{
		"a header":                            {`{"model":"fast"}`, []string{"User-Type", "subscriber"}, "m-vip"},
		"a header's value has its case":       {`{"model":"x"}`, []string{"User-Type", "Subscriber"}, ""},
		"a model":                             {`{"model":"fast"}`, nil, "m-fast"},
		"one of several matcher sets":         {`{"model":"quick"}`, nil, "m-fast"},
		"a model by wildcard and the path":    {`{"model":"gpt-4o-mini-2024"}`, nil, "m-mini"},
		"a model that is escaped":             {`{"mod\u0065l":"f\u0061st"}`, nil, "m-fast"},
		"a host":                              {`{"model":"x"}`, []string{"Host", "LAST.example:8080"}, "m-last"},
		"nothing":                             {`{"model":"x"}`, nil, ""},
		"a model that is no string":           {`{"model":["fast"]}`, nil, ""},
		"a model inside of another member":    {`{"a":{"model":"fast"}}`, nil, ""},
		"no model, and a header that fits":    {`{}`, []string{"User-Type", "subscriber"}, "m-vip"},
		"no body decides where none is asked": {`{}`, []string{"Host", "last.example"}, "m-last"},
	} {
		t.Run(name, func(t *testing.T) {
			res, body := g.post(t, test.body, test.header...)
			if test.model == "" {
				if res.StatusCode != 404 || !strings.Contains(body, "no_route") || u.count() != 0 {
					t.Errorf("got %d %s and %d requests at the provider, want 404 and none", res.StatusCode, body, u.count())
				}
				return
			}
			if res.StatusCode != 200 {
				t.Fatalf("got %d %s", res.StatusCode, body)
			}
			var got struct{ Model string }
			_ = json.Unmarshal([]byte((<-u.requests).body), &got)
			if got.Model != test.model {
				t.Errorf("the provider got model %q, want %q", got.Model, test.model)
			}
		})
	}
}

func TestOwnErrors(t *testing.T) {
	u := newUpstream(t, answers("x"))
	p := unique("p")
	g := newGateway(t, providers(p, u.provider(""), "nokey", u.provider(`"config":{"api_key":"{env.SURELY_NOT_SET}"}`)), fmt.Sprintf(
		`{"max_body":1000,"rules":[{"match":[{"path":["/nokey/*"]}],"backends":[{"provider":"nokey"}]},{"match":[{"not":[{"path":["/none/*"]}]}],"backends":[{"provider":%q}]}]}`, p))
	for name, test := range map[string]struct {
		method, path, kind, body string
		status                   int
		code                     string
	}{
		"no JSON":           {"POST", "/", "application/json", "hello", 400, "invalid_json"},
		"an array":          {"POST", "/", "application/json", "[]", 400, "invalid_json"},
		"nothing":           {"POST", "/", "application/json", "", 400, "invalid_json"},
		"two models":        {"POST", "/", "application/json", `{"model":"a","model":"b"}`, 400, "invalid_json"},
		"no route":          {"POST", "/none/chat/completions", "application/json", "{}", 404, "no_route"},
		"another API":       {"POST", "/v1/assistants", "application/json", "{}", 404, "unsupported_endpoint"},
		"a GET":             {"GET", "/v1/chat/completions", "", "", 405, "method_not_allowed"},
		"too large":         {"POST", "/", "application/json", `{"a":"` + strings.Repeat("x", 1000) + `"}`, 413, "request_too_large"},
		"a form":            {"POST", "/", "application/x-www-form-urlencoded", "{}", 415, "unsupported_media_type"},
		"a key that is not": {"POST", "/nokey/chat/completions", "application/json", "{}", 503, "provider_key_missing"},
	} {
		t.Run(name, func(t *testing.T) {
			req, _ := http.NewRequest(test.method, g.URL+test.path, strings.NewReader(test.body))
			if test.kind != "" {
				req.Header.Set("Content-Type", test.kind)
			}
			res, err := g.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			data, _ := io.ReadAll(res.Body)
			var got struct {
				Error struct{ Message, Type, Code string }
			}
			if err := json.Unmarshal(data, &got); err != nil || res.StatusCode != test.status || got.Error.Code != test.code || got.Error.Message == "" || got.Error.Type == "" {
				t.Errorf("got %d %s, want %d with code %s", res.StatusCode, data, test.status, test.code)
			}
			if strings.Contains(string(data), "SURELY_NOT_SET") {
				t.Errorf("the client learns where the key comes from: %s", data)
			}
		})
	}
	if u.count() != 0 {
		t.Errorf("the provider got %d requests, want none", u.count())
	}
}

func TestBareRouteGoesByHost(t *testing.T) {
	u := newUpstream(t, answers("x"))
	g := newGateway(t, providers(unique("p"), u.provider(`"config":{"model":"m"}`)), `{}`)
	if res, body := g.post(t, chat, "Host", "127.0.0.1:999"); res.StatusCode != 200 {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
	if res, _ := g.post(t, chat, "Host", "elsewhere.example"); res.StatusCode != 404 {
		t.Errorf("another host: got %d, want 404", res.StatusCode)
	}
}

func TestTableGoesByHost(t *testing.T) {
	u := newUpstream(t, answers("x"))
	p := unique("p")
	rule := func(name string) string { return fmt.Sprintf(`[{"name":%q,"backends":[{"provider":%q}]}]`, name, p) }
	app := fmt.Sprintf(`{"status_listen":"off","providers":{%q:%s},"routes":{"mesh":[
		{"hosts":["a.example.com"],"rules":%s},{"hosts":["*.example.com"],"rules":%s},{"hosts":["*.b.example.com"],"rules":%s},
		{"hosts":["a.example.com"],"rules":%s},{"hosts":["broken.example"],"unusable":"BadKey"}]}}`,
		p, u.provider(`"rules":{"exact":{"model":"exact"},"suffix":{"model":"suffix"},"longer":{"model":"longer"},"second":{"model":"second"}}`),
		rule("exact"), rule("suffix"), rule("longer"), rule("second"))
	g := newGateway(t, app, `{"table":"mesh"}`)
	for host, want := range map[string]string{
		"a.example.com": "exact", "A.Example.COM:80": "exact", "a.example.com.": "exact", "x.example.com": "suffix", "x.y.example.com": "suffix",
		"x.b.example.com": "longer", "b.example.com": "suffix", "example.com": "", "other": "",
	} {
		res, _ := g.post(t, chat, "Host", host)
		if want == "" {
			if res.StatusCode != 404 {
				t.Errorf("%s: got %d, want 404", host, res.StatusCode)
			}
			continue
		}
		if body := (<-u.requests).body; !strings.Contains(body, `"model":"`+want+`"`) {
			t.Errorf("%s: the provider got %s, want model %s", host, body, want)
		}
	}
	if res, body := g.post(t, chat, "Host", "broken.example"); res.StatusCode != 503 || !strings.Contains(body, "BadKey") {
		t.Errorf("a route that cannot be used: %d %s", res.StatusCode, body)
	}
}

func TestModelsList(t *testing.T) {
	own := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/v1/models" || r.Header.Get("Authorization") != "" {
			t.Errorf("the provider got %s %s %v", r.Method, r.URL.Path, r.Header)
		}
		_, _ = io.WriteString(w, `{"object":"list","data":[{"id":"llama3:8b"},{"id":"qwen3:4b"},{"id":7}]}`)
	})
	a, b := unique("a"), unique("b")
	g := newGateway(t, providers(a, own.provider(""), b, own.provider(`"config":{"model":"fixed"}`)), fmt.Sprintf(
		`{"rules":[{"match":[{"llm_model":{"models":["alias","llama*"]}}],"backends":[{"provider":%q}]},{"match":[{"header":{"X-Vip":["*"]}}],"backends":[{"provider":%q}]},{"backends":[{"provider":%q}]}]}`, a, b, b))
	get := func(path string, want int) string {
		req, _ := http.NewRequest(http.MethodGet, g.URL+path, nil)
		req.Header.Set("Authorization", "Bearer of-the-sdk")
		res, err := g.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		data, _ := io.ReadAll(res.Body)
		if res.StatusCode != want {
			t.Errorf("GET %s: %d %s", path, res.StatusCode, data)
		}
		return string(bytes.TrimSpace(data))
	}
	for range 3 {
		var list struct {
			Data []struct{ ID, Object string }
		}
		_ = json.Unmarshal([]byte(get("/v1/models", 200)), &list)
		var ids []string
		for _, m := range list.Data {
			ids = append(ids, m.ID)
		}
		if got := strings.Join(ids, " "); got != "alias llama3:8b fixed" {
			t.Errorf("models %s", got)
		}
	}
	if own.count() != 1 {
		t.Errorf("the provider was asked %d times, want once a minute", own.count())
	}
	if got := get("/v1/models/llama3:8b", 200); !strings.Contains(got, `"id":"llama3:8b"`) {
		t.Errorf("one model: %s", got)
	}
	if got := get("/v1/models/nope", 404); !strings.Contains(got, "model_not_found") {
		t.Errorf("an unknown model: %s", got)
	}
}

func TestConfigurationMistakes(t *testing.T) {
	u := newUpstream(t, answers("x"))
	ok := providers("known", u.provider(""))
	for name, test := range map[string]struct{ app, handler, want string }{
		"a secret without a source":    {`{"keys":{"secret":"a/b"}}`, `{}`, "keys: a secret needs a source that reads Secrets"},
		"a secret without a namespace": {`{"keys":{"secret":"b"}}`, `{}`, "llm-system/virtual-keys"},
		"a secret and a file":          {`{"keys":{"secret":"a/b","file":"x"}}`, `{}`, "keep one of them"},
		"keys of nothing":              {`{"keys":{}}`, `{}`, "needs a file"},
		"a key written out":            {providers("p", u.provider(`"config":{"api_key":"sk-secret"}`)), `{}`, "{env.NAME}"},
		"a header written out":         {providers("p", u.provider(`"headers":{"api-key":"sk-secret"}`)), `{}`, "{file./path/to/secret}"},
		"an unknown provider":          {ok, `{"rules":[{"backends":[{"provider":"nobody"}]}]}`, `no provider "nobody"`},
		"no backend":                   {ok, `{"rules":[{}]}`, "no backends"},
		"weights that are all 0":       {ok, `{"rules":[{"backends":[{"provider":"known","weight":0}]}]}`, "all weights are 0"},
		"a negative weight":            {ok, `{"rules":[{"backends":[{"provider":"known","weight":-1}]}]}`, "out of range"},
		"some weights":                 {ok, `{"rules":[{"backends":[{"provider":"known","weight":1},{"provider":"known"}]}]}`, "give one to all"},
		"a table and rules":            {ok, `{"table":"t","rules":[{"backends":[{"provider":"known"}]}]}`, "write one of them"},
		"nothing to route to":          {providers(), `{}`, "define a provider"},
		"a retry on a success":         {ok, `{"rules":[{"backends":[{"provider":"known"}],"retry_on":[200]}]}`, "400 to 599"},
		"a name with a slash":          {providers("a/b", u.provider("")), `{}`, "without spaces, slashes"},
		"a matcher that is unknown":    {ok, `{"rules":[{"match":[{"nope":{}}],"backends":[{"provider":"known"}]}]}`, "nope"},
		"a host with a scheme":         {providers("p", `{"kind":"openai","host":"https://x"}`), `{}`, "DNS name alone"},
		"a path that does not begin":   {providers("p", `{"kind":"openai","host":"x","path":"v1"}`), `{}`, "begin with a slash"},
		"a kind that there is none of": {providers("p", `{"kind":"closedai","host":"x"}`), `{}`, "closedai"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tryGateway(t, test.app, test.handler)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "sk-secret") {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}

// TestBackendsWithModels has one provider twice in a rule, with two models, and holds
// whose model goes before whose.
func TestBackendsWithModels(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "broken") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		answers("x")(w, r)
	})
	p, bare := unique("p"), unique("bare")
	app := providers(p, u.provider(`"config":{"model":"of-provider"},"rules":{"vip":{"model":"of-rule"}}`), bare, u.provider(""))
	for name, test := range map[string]struct {
		rule, path string
		models     []string // that the provider gets, in order
	}{
		"the backend's":               {`{"name":"vip","backends":[{"provider":"P","model":"of-backend"}]}`, "/", []string{"of-backend"}},
		"the rule's":                  {`{"name":"vip","backends":[{"provider":"P"}]}`, "/", []string{"of-rule"}},
		"the provider's":              {`{"name":"other","backends":[{"provider":"P"}]}`, "/", []string{"of-provider"}},
		"the client's":                {`{"backends":[{"provider":"BARE"}]}`, "/", []string{"of-client"}},
		"the backend's, no settings":  {`{"name":"vip","backends":[{"provider":"P","model":"of-backend","default_settings":true}]}`, "/", []string{"of-backend"}},
		"no chat model":               {`{"backends":[{"provider":"P","model":"of-backend"}]}`, "/v1/embeddings", []string{"of-client"}},
		"one provider, and its other": {`{"attempts":2,"backends":[{"provider":"P","model":"broken"},{"provider":"P","model":"works","priority":1}]}`, "/", []string{"broken", "works"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, app, `{"rules":[`+strings.NewReplacer("P\"", p+"\"", "BARE", bare).Replace(test.rule)+`]}`)
			res, err := g.Client().Post(g.URL+test.path, "application/json", strings.NewReader(`{"model":"of-client"}`))
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				t.Errorf("status %d", res.StatusCode)
			}
			for _, want := range test.models {
				var got struct{ Model string }
				_ = json.Unmarshal([]byte((<-u.requests).body), &got)
				if got.Model != want {
					t.Errorf("the provider got model %q, want %q", got.Model, want)
				}
			}
		})
	}
}
