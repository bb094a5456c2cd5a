package vertex

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	pathpkg "path"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/internal/moduletest"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/tap"
)

func parse(t *testing.T, config string) *Provider {
	t.Helper()
	p := new(Provider)
	if err := json.Unmarshal([]byte(config), p); err != nil {
		t.Fatal(err)
	}
	return p
}

func provisioned(t *testing.T, config string) *Provider {
	t.Helper()
	p := parse(t, config)
	moduletest.Provision(t, p)
	return p
}

func attempt(t *testing.T, p *Provider, path, body string) (*llmprovider.Attempt, *llmprovider.Error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header = http.Header{"Content-Type": {"application/json"}, "Anthropic-Version": {"2023-06-01"}, "Anthropic-Beta": {"context-1m-2025-08-07,claude-code-20250219,web-search-2025-03-05"}}
	for _, name := range []string{"Api-Key", "Authorization", "X-Api-Key", "X-Goog-Api-Key", "X-Goog-User-Project"} {
		r.Header.Set(name, "of-the-client")
	}
	in, refused := llmprovider.NewInbound(r)
	if refused == nil {
		refused = in.Read(r, llmprovider.DefaultMaxBody)
	}
	if refused != nil {
		t.Fatal(refused)
	}
	return p.NewAttempt(t.Context(), in, llmprovider.Settings{})
}

func TestWhereRequestsGo(t *testing.T) {
	t.Setenv("LLM_TEST_KEY", "key-of-google")
	const key = `"config":{"api_key":"{env.LLM_TEST_KEY}"}`
	const eu, express = `{"project":"p-1","location":"europe-west4",` + key + `}`, `{` + key + `}`
	const root = "https://europe-west4-aiplatform.googleapis.com/v1/projects/p-1/locations/europe-west4"
	const google = "https://europe-west4-aiplatform.googleapis.com/v1beta1/projects/p-1/locations/europe-west4/publishers/google/models/"
	const contents = `{"contents":[{"role":"user","parts":[{"text":"x"}]}], "model":"other"}`
	const chat = `{"model":"M","messages":[{"role":"user","content":"x"}]}`
	for _, test := range []struct{ config, path, body, to, same string }{
		{eu, "/v1beta/models/gemini-3-pro:generateContent?key=client", contents, google + "gemini-3-pro:generateContent", contents},
		{eu, "/v1/projects/x/locations/y/publishers/google/models/gemini-3-pro:streamGenerateContent?alt=sse", contents, google + "gemini-3-pro:streamGenerateContent?alt=sse", contents},
		{eu, "/v1beta/models/gemini-3-pro:streamGenerateContent", contents, google + "gemini-3-pro:streamGenerateContent", contents},
		{eu, "/v1beta/models/gemini-3-pro:countTokens", contents, google + "gemini-3-pro:countTokens", contents},
		{eu, "/v1beta/models/gemini-embedding-2:embedContent", contents, google + "gemini-embedding-2:embedContent", contents},
		{eu, "/v1beta/models/text-embedding-005:embedContent", `{"content":{"parts":[{"text":"x"}]}}`, google + "text-embedding-005:predict", `{"instances":[{"content":"x"}]}`},
		{eu, "/v1beta/models/gemini-embedding-001:batchEmbedContents", `{"requests":[{"content":{"parts":[{"text":"x"}]}}]}`, google + "gemini-embedding-001:predict", `{"instances":[{"content":"x"}]}`},
		{eu, "/v1/embeddings", `{"model":"google/text-embedding-005","input":["x","y"],"dimensions":8}`, google + "text-embedding-005:predict", `{"instances":[{"content":"x"},{"content":"y"}],"parameters":{"outputDimensionality":8}}`},
		{eu, "/v1/embeddings", `{"model":"google/claude-e","input":"x"}`, google + "claude-e:predict", `{"instances":[{"content":"x"}]}`},
		{eu, "/v1/embeddings", `{"model":"gemini-embedding-2","input":"x"}`, google + "gemini-embedding-2:embedContent", `{"content":{"parts":[{"text":"x"}]}}`},
		{eu, "/v1/embeddings", `{"model":"intfloat/e5-maas","input":"x"}`, strings.Replace(google, "/google/", "/intfloat/", 1) + "e5-maas:embedContent", `{"content":{"parts":[{"text":"x"}]}}`},
		{eu, "/v1beta/models/intfloat%2Fe5-maas:embedContent", contents, strings.Replace(google, "/google/", "/intfloat/", 1) + "e5-maas:embedContent", contents},
		{eu, "/v1/chat/completions", strings.Replace(chat, "M", "google/gemini-3-pro", 1), google + "gemini-3-pro:generateContent", ""},
		{eu, "/v1/messages", `{"model":"gemini-3-pro","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}`, google + "gemini-3-pro:streamGenerateContent?alt=sse", ""},
		{eu, "/v1/chat/completions", strings.Replace(chat, "M", "endpoints/123", 1), "https://europe-west4-aiplatform.googleapis.com/v1beta1/projects/p-1/locations/europe-west4/endpoints/123:generateContent", ""},

		{eu, "/v1/messages", `{"model":"claude-sonnet-5@20260101","max_tokens":9,"messages":[], "x":1e2}`, root + "/publishers/anthropic/models/claude-sonnet-5%4020260101:rawPredict", `{"anthropic_version":"vertex-2023-10-16","max_tokens":9,"messages":[], "x":1e2}`},
		{eu, "/v1/messages", `{"stream":true, "model":"anthropic/claude-sonnet-5","messages":[]}`, root + "/publishers/anthropic/models/claude-sonnet-5:streamRawPredict", `{"stream":true, "anthropic_version":"vertex-2023-10-16","messages":[]}`},
		{eu, "/v1/messages/count_tokens", `{"model":"claude-sonnet-5","messages":[]}`, root + "/publishers/anthropic/models/count-tokens:rawPredict", `{"anthropic_version":"vertex-2023-10-16","model":"claude-sonnet-5","messages":[]}`},
		{eu, "/v1/chat/completions", strings.Replace(chat, "M", "claude-sonnet-5", 1), root + "/publishers/anthropic/models/claude-sonnet-5:rawPredict", ""},

		{eu, "/v1/chat/completions", strings.Replace(chat, "M", "meta/llama-5", 1), root + "/endpoints/openapi/chat/completions", strings.Replace(chat, "M", "meta/llama-5", 1)},
		{eu, "/v1/chat/completions", `{"model":"publishers/meta/models/llama-5","messages":[],"stream":true}`, root + "/endpoints/openapi/chat/completions", `{"stream_options":{"include_usage":true},"model":"meta/llama-5","messages":[],"stream":true}`},
		{eu, "/v1/messages", `{"model":"meta/llama-5","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`, root + "/endpoints/openapi/chat/completions", ""},

		{express, "/v1beta/models/gemini-3-pro:generateContent", contents, "https://aiplatform.googleapis.com/v1beta1/publishers/google/models/gemini-3-pro:generateContent", contents},
		{`{"project":"p-1","location":"eu",` + key + `}`, "/v1beta/models/m:generateContent", contents, "https://aiplatform.eu.rep.googleapis.com/v1beta1/projects/p-1/locations/eu/publishers/google/models/m:generateContent", contents},
		{`{"project":"p-1",` + key + `}`, "/v1beta/models/m:generateContent", contents, "https://aiplatform.googleapis.com/v1beta1/projects/p-1/locations/global/publishers/google/models/m:generateContent", contents},
		{`{"project":"p-1","host":"g.example","scheme":"http","port":81,"path":"/base/v1",` + key + `}`, "/v1/messages", `{"model":"claude-x","messages":[]}`, "http://g.example:81/base/v1/projects/p-1/locations/global/publishers/anthropic/models/claude-x:rawPredict", `{"anthropic_version":"vertex-2023-10-16","messages":[]}`},
		{`{"project":"p-1","path":"/v2",` + key + `}`, "/v1beta/models/m:generateContent", contents, "https://aiplatform.googleapis.com/v2/projects/p-1/locations/global/publishers/google/models/m:generateContent", contents},
		{`{"project":"p-1","config":{"api_key":"{env.LLM_TEST_KEY}","model":"claude-x","stream":false}}`, "/v1/messages", `{"model":"m","stream":true,"messages":[]}`, "https://aiplatform.googleapis.com/v1/projects/p-1/locations/global/publishers/anthropic/models/claude-x:rawPredict", `{"anthropic_version":"vertex-2023-10-16","stream":false,"messages":[]}`},
	} {
		a, refused := attempt(t, provisioned(t, test.config), test.path, test.body)
		if refused != nil {
			t.Errorf("%s %s: %v", test.path, test.body, refused)
			continue
		}
		if got := a.Request.URL.String(); got != test.to {
			t.Errorf("%s goes to %s, want %s", test.path, got, test.to)
		}
		data, _ := io.ReadAll(a.Request.Body)
		if !json.Valid(data) || test.same != "" && string(data) != test.same {
			t.Errorf("%s: the body is %s, want %s", test.path, data, test.same)
		}
		h := a.Request.Header
		if h.Get("X-Goog-Api-Key") != "key-of-google" || h["Authorization"] != nil || h["X-Api-Key"] != nil || h["Api-Key"] != nil || len(h["X-Goog-User-Project"]) > 0 {
			t.Errorf("%s: %v", test.path, h)
		}
		if native := strings.Contains(test.to, "anthropic") && strings.Contains(test.path, "messages"); native {
			if count := strings.Contains(test.path, "count"); len(h["Anthropic-Version"]) > 0 || count == (h.Get("Anthropic-Beta") == "context-1m-2025-08-07,web-search-2025-03-05") {
				t.Errorf("%s: %v", test.path, h)
			}
		}
		if strings.Contains(test.to, "/publishers/anthropic/") && !strings.Contains(string(data), `"anthropic_version":"vertex-2023-10-16"`) {
			t.Errorf("%s: %s", test.path, data)
		}
	}
}

func TestUnsupported(t *testing.T) {
	t.Setenv("LLM_TEST_KEY", "key-of-google")
	const key = `"config":{"api_key":"{env.LLM_TEST_KEY}"}`
	for _, test := range []struct {
		config, path, body string
		status             int
	}{
		{`{"project":"p",` + key + `}`, "/v1/embeddings", `{"model":"gemini-embedding-2","input":["x","y"]}`, 400},
		{`{"project":"p",` + key + `}`, "/v1/embeddings", `{"model":"a/b/e-maas","input":"x"}`, 404},
		{`{"project":"p",` + key + `}`, "/v1/embeddings", `{"model":"meta/e","input":"x"}`, 404},
		{`{"project":"p",` + key + `}`, "/v1/embeddings", `{"model":"claude-x","input":"x"}`, 404},
		{`{"project":"p",` + key + `}`, "/v1beta/models/e:batchEmbedContents", `{}`, 400},
		{`{"project":"p",` + key + `}`, "/v1/images/generations", `{"model":"imagen-5","prompt":"x"}`, 404},
		{`{"project":"p",` + key + `}`, "/v1/chat/completions", `{"messages":[]}`, 400},
		{`{"project":"p",` + key + `}`, "/v1/messages", `{"model":"claude-x","messages":[],"anthropic_version":"x"}`, 400},
		{`{` + key + `}`, "/v1/messages", `{"model":"claude-x","messages":[]}`, 404},
		{`{` + key + `}`, "/v1/chat/completions", `{"model":"meta/llama","messages":[]}`, 404},
	} {
		if a, refused := attempt(t, provisioned(t, test.config), test.path, test.body); refused == nil || refused.Status != test.status {
			t.Errorf("%s %s: %v, %+v", test.path, test.body, refused, a)
		}
	}
}

// TestModelsStayInTheirPath holds that no model leads below another path than that of
// models, by whatever API and name of a publisher.
func TestModelsStayInTheirPath(t *testing.T) {
	t.Setenv("LLM_TEST_KEY", "key-of-google")
	p := provisioned(t, `{"project":"p","config":{"api_key":"{env.LLM_TEST_KEY}"}}`)
	models := regexp.MustCompile(`^/v1(beta1)?/projects/p/locations/global/(publishers/(google|anthropic|a-maas)/[^/]+|endpoints)/[^/]+$`)
	for _, name := range []string{"..", ".", "", "a", "/", "../x", "./x", "x/..", "x/../y", "../../x", "%2e%2e/x", "..%2fx", `..\\x`, "a?b", "a#b", "a b", "a:b", "endpoints/..", "endpoints/../x", "tunedModels/x"} {
		for _, model := range []string{name, "google/" + name, "models/" + name, "anthropic/" + name, "publishers/google/models/" + name, "claude-" + name, "a-maas/" + name} {
			for path, body := range map[string]string{
				"/v1/chat/completions": `{"model":"` + model + `","messages":[{"role":"user","content":"x"}]}`,
				"/v1/messages":         `{"model":"` + model + `","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`,
				"/v1/embeddings":       `{"model":"` + model + `","input":"x"}`,
			} {
				a, refused := attempt(t, p, path, body)
				if refused != nil {
					if refused.Status != http.StatusBadRequest && (path != "/v1/embeddings" || refused.Status != http.StatusNotFound) {
						t.Errorf("%s: %v", model, refused)
					}
					continue
				}
				got := a.Request.URL.EscapedPath()
				if clean := pathpkg.Clean(got); clean != got || !models.MatchString(got) && !strings.HasSuffix(got, "/endpoints/openapi/chat/completions") || a.Request.URL.RawQuery != "" {
					t.Errorf("%s at %s goes to %s", model, path, a.Request.URL)
				}
			}
		}
	}
}

func TestModelLists(t *testing.T) {
	t.Setenv("LLM_TEST_KEY", "key-of-google")
	const key = `"config":{"api_key":"{env.LLM_TEST_KEY}"}`
	for config, root := range map[string]string{
		`{"project":"p-1","location":"europe-west4",` + key + `}`: "https://europe-west4-aiplatform.googleapis.com/v1beta1",
		`{` + key + `}`: "https://aiplatform.googleapis.com/v1beta1",
		`{"project":"p-1","host":"g.example","scheme":"http","port":81,"path":"/base/v1",` + key + `}`: "http://g.example:81/base/v1",
	} {
		p := provisioned(t, config)
		lists, refused := p.ModelLists()
		if refused != nil || len(lists) != 2 || lists[0].String() != root+"/publishers/google/models?pageSize=100" || lists[1].String() != root+"/publishers/anthropic/models?pageSize=100" {
			t.Errorf("%s: %v, %v", config, lists, refused)
		}
		r, refused := p.ModelsRequest(t.Context(), lists[0], nil)
		if refused != nil || r.Header.Get("X-Goog-Api-Key") != "key-of-google" {
			t.Errorf("%v, %v", r, refused)
		}
	}
}

func TestRefused(t *testing.T) {
	for config, want := range map[string]string{
		`{}`: "project is required",
		`{"config":{"api_key":"{env.X}"},"rules":{"r":{"api_key":""}}}`: "project is required",
		`{"project":"a/b"}`:                           "not a project ID",
		`{"project":".."}`:                            "not a project ID",
		`{"project":"p","location":"evil.example/x"}`: "location is not a Google Cloud location",
		`{"project":"p","quota_project":"a\nb"}`:      "quota_project is not",
	} {
		p := parse(t, config)
		ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
		if err := p.Provision(ctx); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", config, err, want)
		}
		_ = p.Cleanup()
		cancel()
	}
}

// TestErrors holds that errors of Google's get the shape of the API that the client
// speaks.
func TestErrors(t *testing.T) {
	t.Setenv("LLM_TEST_KEY", "key-of-google")
	p := provisioned(t, `{"project":"p","config":{"api_key":"{env.LLM_TEST_KEY}"}}`)
	a, refused := attempt(t, p, "/v1/messages", `{"model":"claude-x","messages":[]}`)
	if refused != nil {
		t.Fatal(refused)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	reader := tap.NewReader(a, &http.Response{StatusCode: 429, Header: header}, false)
	reader.Head(&llmprovider.Head{Status: 429, Header: header})
	var got []byte
	pass := func(p []byte) error { got = append(got, p...); return nil }
	if err := reader.Write([]byte(`[{"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED"}}]`), pass); err != nil {
		t.Fatal(err)
	}
	if err := reader.Finish(pass); err != nil {
		t.Fatal(err)
	}
	var said struct {
		Type  string
		Error struct{ Type, Message string }
	}
	if err := json.Unmarshal(got, &said); err != nil || said.Type != "error" || said.Error.Type != "rate_limit_error" || said.Error.Message != "Quota exceeded" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestCopy(t *testing.T) {
	p := provisioned(t, `{"project":"p","location":"eu","credentials_file":"/x","quota_project":"q"}`)
	q, ok := p.Copy().(*Provider)
	if !ok || q.Account != nil || q.Project != "p" || q.Location != "eu" || q.CredentialsFile != "/x" || q.QuotaProject != "q" {
		t.Errorf("%+v", q)
	}
}
