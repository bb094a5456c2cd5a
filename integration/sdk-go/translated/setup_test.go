// Package translated_test holds tests of the built gateway through Anthropic's and
// Google's official Go SDKs, before a provider that speaks OpenAI's chat completions: the
// SDKs are strict readers of what translation makes of a provider's responses.
package translated_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"google.golang.org/genai"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/fixtures"
	"github.com/caddy-llm/gateway/integration/gateway"
)

const (
	sdkKey      = "sk-of-the-sdk-3f9a17"
	providerKey = "sk-of-the-provider-c45d02"
	// patience bounds what should take milliseconds, on a busy machine too.
	patience = 20 * time.Second
)

// TestMain keeps the SDKs from taking their settings from the environment.
func TestMain(m *testing.M) {
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		for _, prefix := range []string{"ANTHROPIC_", "GOOGLE_", "GEMINI_"} {
			if strings.HasPrefix(name, prefix) {
				_ = os.Unsetenv(name)
			}
		}
	}
	os.Exit(m.Run())
}

// serve starts a provider of chat completions and a gateway before it, and returns the
// gateway's URL. The options are further lines of the provider's.
func serve(t *testing.T, options ...string) (*fakeprovider.Server, string) {
	t.Helper()
	s := fakeprovider.New(t)
	port := gateway.FreePort(t)
	gateway.Start(t, gateway.Render(t, `{
	llm {
		status_listen off
		provider main {{.Main}}/v1/chat/completions {
			api_key {env.MAIN_KEY}
			tls_trust_pool file {{.CA}}
			{{.Options}}
		}
	}
}

http://:{{.Port}} {
	llm_route {
		rule all {
			to main
		}
	}
}
`, map[string]any{"Port": port, "Main": s.URL(), "CA": s.CAFile(), "Options": strings.Join(options, "\n\t\t\t")}), gateway.Env("MAIN_KEY", providerKey), gateway.Within(2*time.Minute))
	return s, fmt.Sprintf("http://127.0.0.1:%d", port)
}

// claude is Anthropic's SDK. It does not retry, so that a test sees the first response.
func claude(url string, options ...option.RequestOption) *anthropic.Client {
	client := anthropic.NewClient(append([]option.RequestOption{
		option.WithBaseURL(url), option.WithAPIKey(sdkKey), option.WithMaxRetries(0), option.WithRequestTimeout(patience),
	}, options...)...)
	return &client
}

// gemini is Google's SDK.
func gemini(t *testing.T, url string) *genai.Client {
	t.Helper()
	client, err := genai.NewClient(t.Context(), &genai.ClientConfig{APIKey: sdkKey, Backend: genai.BackendGeminiAPI, HTTPOptions: genai.HTTPOptions{BaseURL: url}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// completions are the fixtures of successful chat completions.
func completions(t *testing.T) []fixtures.Fixture {
	return fixtures.Select(t, func(f fixtures.Fixture) bool { return f.Kind == "chat" && f.Status == 200 })
}

// sent is what the provider got last. Its keys are checked.
func sent(t *testing.T, s *fakeprovider.Server) *fakeprovider.Recorded {
	t.Helper()
	r := s.Last()
	if r.Path != "/v1/chat/completions" || r.RawQuery != "" {
		t.Errorf("the provider was asked %s?%s", r.Path, r.RawQuery)
	}
	if got := r.Header["Authorization"]; len(got) != 1 || got[0] != "Bearer "+providerKey {
		t.Errorf("the provider got Authorization %q", got)
	}
	if strings.Contains(fmt.Sprint(r.Target, r.Header, string(r.Body)), sdkKey) {
		t.Errorf("the SDK's key reached the provider: %v %s", r.Header, r.Body)
	}
	for name := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "anthropic-") || strings.HasPrefix(lower, "x-goog-") || strings.HasPrefix(lower, "x-stainless-") || lower == "x-api-key" {
			t.Errorf("the client's header %s reached the provider", name)
		}
	}
	return r
}

// at returns the value at a path of member names and indices, as it was written.
func at(t *testing.T, document []byte, path ...any) string {
	t.Helper()
	value := json.RawMessage(document)
	for _, step := range path {
		var err error
		switch step := step.(type) {
		case string:
			var members map[string]json.RawMessage
			err = json.Unmarshal(value, &members)
			value = members[step]
		case int:
			var elements []json.RawMessage
			if err = json.Unmarshal(value, &elements); err == nil && step < len(elements) {
				value = elements[step]
			} else {
				value = nil
			}
		}
		if err != nil || value == nil {
			t.Fatalf("nothing at %v of %s", path, document)
		}
	}
	return string(value)
}

// extends holds that a request begins as the one before it: everything but the end of
// the list of messages is there again, byte for byte.
func extends(t *testing.T, before, after *fakeprovider.Recorded) {
	t.Helper()
	if !bytes.HasPrefix(after.Body, bytes.TrimSuffix(before.Body, []byte("]}"))) {
		t.Errorf("the request does not begin as the one before it:\n%s\n%s", before.Body, after.Body)
	}
}

// chunks is a stream of chat completions: each argument is the delta of one, and the
// finish reason comes last.
func chunks(finish string, deltas ...string) fakeprovider.Reply {
	const head = `data: {"id":"chatcmpl-7f1c","object":"chat.completion.chunk","created":1764300000,"model":"qwen-3","choices":`
	var events []string
	for _, delta := range deltas {
		events = append(events, head+`[{"index":0,"delta":`+delta+`,"finish_reason":null}]}`+"\n\n")
	}
	return fakeprovider.SSE(append(events,
		head+`[{"index":0,"delta":{},"finish_reason":"`+finish+`"}]}`+"\n\n",
		head+`[],"usage":`+usage+`}`+"\n\n",
		"data: [DONE]\n\n")...)
}

const usage = `{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_tokens_details":{"cached_tokens":64},"completion_tokens_details":{"reasoning_tokens":7}}`

// completion is a chat completion with the message.
func completion(finish, message string) fakeprovider.Reply {
	return fakeprovider.JSON(200, `{"id":"chatcmpl-7f1c","object":"chat.completion","created":1764300000,"model":"qwen-3","choices":[{"index":0,"message":`+message+`,"finish_reason":"`+finish+`"}],"usage":`+usage+`}`)
}
