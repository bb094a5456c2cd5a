package sdk

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"google.golang.org/genai"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// geminiProvider is a provider of kind gemini. Its path is the default one, so the URL
// has none.
const geminiProvider = `{
	llm {
		status_listen off
		provider google {{.Main}} {
			kind gemini
			api_key {env.MAIN_KEY}
			tls_trust_pool file {{.CA}}
		}
	}
}

http://:{{.Port}} {
	llm_route {
		rule all {
			to google
		}
	}
}
`

// A response and a stream with a call of a tool, in the documented shapes:
// https://ai.google.dev/api/generate-content.
const (
	geminiCall = `{"candidates":[{"content":{"role":"model","parts":[{"text":"Looking. 潮水 "},{"functionCall":{"name":"tide","args":{"at":12345678901234567890,"x":1.0}},"thoughtSignature":"c2ln"}]},"finishReason":"STOP","index":0}],` +
		`"usageMetadata":{"promptTokenCount":40,"candidatesTokenCount":9,"thoughtsTokenCount":3,"totalTokenCount":52,"cachedContentTokenCount":16},"modelVersion":"gemini-3-pro","responseId":"r_1"}`
	geminiStream = `data: {"candidates":[{"content":{"role":"model","parts":[{"text":"Looking. "}]},"index":0}],"usageMetadata":{"promptTokenCount":40,"totalTokenCount":40},"modelVersion":"gemini-3-pro","responseId":"r_1"}` + "\r\n\r\n" +
		`data: {"candidates":[{"content":{"role":"model","parts":[{"text":"潮水 "}]},"index":0}],"modelVersion":"gemini-3-pro","responseId":"r_1"}` + "\r\n\r\n" +
		`data: ` + geminiLast + "\r\n\r\n"
	geminiLast = `{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"tide","args":{"at":12345678901234567890,"x":1.0}},"thoughtSignature":"c2ln"}]},"finishReason":"STOP","index":0}],` +
		`"usageMetadata":{"promptTokenCount":40,"candidatesTokenCount":9,"thoughtsTokenCount":3,"totalTokenCount":52,"cachedContentTokenCount":16},"modelVersion":"gemini-3-pro","responseId":"r_1"}`
)

// checkGemini holds where a request went, with which key, and that the client's did not.
func checkGemini(t *testing.T, s *fakeprovider.Server, target string) *fakeprovider.Recorded {
	t.Helper()
	r := s.Last()
	if r.Target != target || r.Header.Get("X-Goog-Api-Key") != providerKey {
		t.Errorf("%s with %v", r.Target, r.Header)
	}
	for name, values := range r.Header {
		if strings.Contains(strings.Join(values, " "), sdkKey) {
			t.Errorf("the provider got the client's key in %s", name)
		}
	}
	if !json.Valid(r.Body) || !strings.Contains(string(r.Body), "潮水") || !strings.Contains(string(r.Body), `"tide"`) {
		t.Errorf("the body is %s", r.Body)
	}
	return r
}

func TestGenAI(t *testing.T) {
	s := fakeprovider.New(t)
	g := serve(t, geminiProvider, map[string]any{"Main": s.URL(), "CA": s.CAFile()})
	client, err := genai.NewClient(t.Context(), &genai.ClientConfig{APIKey: sdkKey, Backend: genai.BackendGeminiAPI, HTTPOptions: genai.HTTPOptions{BaseURL: g.URL}})
	if err != nil {
		t.Fatal(err)
	}
	contents := genai.Text("When does it turn? 潮水 <&>")
	config := &genai.GenerateContentConfig{Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{Name: "tide", ParametersJsonSchema: map[string]any{"type": "object"}}}}}}

	check := func(t *testing.T, text string, calls []*genai.FunctionCall, usage *genai.GenerateContentResponseUsageMetadata) {
		t.Helper()
		if text != "Looking. 潮水 " || len(calls) != 1 || calls[0].Name != "tide" || usage.PromptTokenCount != 40 || usage.ThoughtsTokenCount != 3 {
			t.Errorf("%q, %+v, %+v", text, calls, usage)
		}
	}
	t.Run("plain", func(t *testing.T) {
		s.Script(fakeprovider.Always(fakeprovider.JSON(200, geminiCall)))
		res, err := client.Models.GenerateContent(t.Context(), "gemini-3-pro", contents, config)
		if err != nil {
			t.Fatal(err)
		}
		check(t, res.Text(), res.FunctionCalls(), res.UsageMetadata)
		checkGemini(t, s, "/v1beta/models/gemini-3-pro:generateContent")
	})
	t.Run("streamed", func(t *testing.T) {
		s.Script(fakeprovider.Always(fakeprovider.Stream([]byte(geminiStream))))
		var text string
		var calls []*genai.FunctionCall
		var usage *genai.GenerateContentResponseUsageMetadata
		for res, err := range client.Models.GenerateContentStream(t.Context(), "gemini-3-pro", contents, config) {
			if err != nil {
				t.Fatal(err)
			}
			text += res.Text()
			calls = append(calls, res.FunctionCalls()...)
			if res.UsageMetadata != nil {
				usage = res.UsageMetadata
			}
		}
		check(t, text, calls, usage)
		checkGemini(t, s, "/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse")
	})
	t.Run("count", func(t *testing.T) {
		s.Script(fakeprovider.Always(fakeprovider.JSON(200, `{"totalTokens":14}`)))
		count, err := client.Models.CountTokens(t.Context(), "gemini-3-pro", contents, nil)
		if err != nil || count.TotalTokens != 14 {
			t.Errorf("%+v, %v", count, err)
		}
	})
	t.Run("error", func(t *testing.T) {
		s.Script(fakeprovider.Always(fakeprovider.JSON(429, `{"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED"}}`)))
		_, err := client.Models.GenerateContent(t.Context(), "gemini-3-pro", contents, config)
		var failed genai.APIError
		if !errors.As(err, &failed) || failed.Code != 429 || failed.Status != "RESOURCE_EXHAUSTED" || failed.Message != "Quota exceeded" {
			t.Errorf("%#v", err)
		}
	})
}

func TestOpenAIToGemini(t *testing.T) {
	s := fakeprovider.New(t)
	g := serve(t, geminiProvider, map[string]any{"Main": s.URL(), "CA": s.CAFile()})
	client := openai.NewClient(option.WithBaseURL(g.URL+"/v1"), option.WithAPIKey(sdkKey), option.WithMaxRetries(0), option.WithRequestTimeout(2*patience))
	params := openai.ChatCompletionNewParams{
		Model:    "gemini-3-pro",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("When does it turn? 潮水 <&>")},
		Tools: []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{
			Name: "tide", Parameters: openai.FunctionParameters{"type": "object"},
		})},
	}
	check := func(t *testing.T, choice openai.ChatCompletionChoice, usage openai.CompletionUsage) {
		t.Helper()
		calls := choice.Message.ToolCalls
		if choice.Message.Content != "Looking. 潮水 " || choice.FinishReason != "tool_calls" || len(calls) != 1 || calls[0].Function.Name != "tide" ||
			calls[0].Function.Arguments != `{"at":12345678901234567890,"x":1.0}` || calls[0].ID == "" {
			t.Errorf("%+v", choice)
		}
		if usage.PromptTokens != 40 || usage.CompletionTokens != 12 || usage.PromptTokensDetails.CachedTokens != 16 || usage.CompletionTokensDetails.ReasoningTokens != 3 {
			t.Errorf("%+v", usage)
		}
	}
	t.Run("plain", func(t *testing.T) {
		s.Script(fakeprovider.Always(fakeprovider.JSON(200, geminiCall)))
		res, err := client.Chat.Completions.New(t.Context(), params)
		if err != nil {
			t.Fatal(err)
		}
		check(t, res.Choices[0], res.Usage)
		checkGemini(t, s, "/v1beta/models/gemini-3-pro:generateContent")
	})
	t.Run("streamed", func(t *testing.T) {
		s.Script(fakeprovider.Always(fakeprovider.Stream([]byte(geminiStream))))
		streamed := params
		streamed.StreamOptions.IncludeUsage = openai.Bool(true)
		stream := client.Chat.Completions.NewStreaming(t.Context(), streamed)
		var whole openai.ChatCompletionAccumulator
		for stream.Next() {
			if !whole.AddChunk(stream.Current()) {
				t.Fatalf("unfitting chunk %s", stream.Current().RawJSON())
			}
		}
		if err := stream.Err(); err != nil {
			t.Fatal(err)
		}
		check(t, whole.Choices[0], whole.Usage)
		checkGemini(t, s, "/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse")
	})
	t.Run("error", func(t *testing.T) {
		s.Script(fakeprovider.Always(fakeprovider.JSON(400, `{"error":{"code":400,"message":"Unknown name","status":"INVALID_ARGUMENT"}}`)))
		_, err := client.Chat.Completions.New(t.Context(), params)
		var failed *openai.Error
		if !errors.As(err, &failed) || failed.StatusCode != 400 || failed.Message != "Unknown name" || failed.Type != "invalid_request_error" {
			t.Errorf("%#v", err)
		}
	})
}
