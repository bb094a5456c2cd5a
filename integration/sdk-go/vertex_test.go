package sdk

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"google.golang.org/genai"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

const vertexProvider = `{
	llm {
		status_listen off
		provider google {{.Main}} {
			kind vertex
			project p-1
			location europe-west4
			credentials_file {{.Credentials}}
			quota_project q-1
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

// TestVertex holds that each SDK reaches the models of all publishers, with one token of
// workload identity federation for all requests.
func TestVertex(t *testing.T) {
	s := fakeprovider.New(t)
	var asked atomic.Int32
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("subject_token") != "of-the-pod" {
			t.Errorf("%s %v", r.URL, r.Form)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","expires_in":3600}`, asked.Add(1))
	}))
	t.Cleanup(tokens.Close)
	dir := t.TempDir()
	subject, credentials := filepath.Join(dir, "subject"), filepath.Join(dir, "credentials.json")
	document, _ := json.Marshal(map[string]any{
		"type": "external_account", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
		"subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": tokens.URL, "credential_source": map[string]string{"file": subject},
	})
	for file, text := range map[string]string{subject: "of-the-pod", credentials: string(document)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := serve(t, vertexProvider, map[string]any{"Main": s.URL(), "CA": s.CAFile(), "Credentials": credentials})
	check := func(t *testing.T, target string, body string) {
		t.Helper()
		r := s.Last()
		if r.Target != target || r.Header.Get("Authorization") != "Bearer token-1" || r.Header.Get("X-Goog-User-Project") != "q-1" {
			t.Errorf("%s with %v", r.Target, r.Header)
		}
		if strings.Contains(fmt.Sprint(r.Header, r.Target), sdkKey) {
			t.Errorf("the provider got the client's key: %v", r.Header)
		}
		if !json.Valid(r.Body) || !strings.Contains(string(r.Body), body) {
			t.Errorf("the body is %s", r.Body)
		}
	}
	const project = "/projects/p-1/locations/europe-west4"
	const claude = "/v1" + project + "/publishers/anthropic/models/claude-sonnet-5"
	const version = `"anthropic_version":"vertex-2023-10-16"`

	gen, err := genai.NewClient(t.Context(), &genai.ClientConfig{APIKey: sdkKey, Backend: genai.BackendGeminiAPI, HTTPOptions: genai.HTTPOptions{BaseURL: g.URL}})
	if err != nil {
		t.Fatal(err)
	}
	s.Script(fakeprovider.Always(fakeprovider.JSON(200, geminiCall)))
	res, err := gen.Models.GenerateContent(t.Context(), "gemini-3-pro", genai.Text("潮水"), nil)
	if err != nil || res.Text() != "Looking. 潮水 " || len(res.FunctionCalls()) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	check(t, "/v1beta1"+project+"/publishers/google/models/gemini-3-pro:generateContent", "潮水")

	messages := anthropic.NewClient(anthropicoption.WithBaseURL(g.URL), anthropicoption.WithAPIKey(sdkKey), anthropicoption.WithMaxRetries(0), anthropicoption.WithRequestTimeout(2*patience))
	s.Script(fakeprovider.Always(fakeprovider.JSON(200, message)))
	got, err := messages.Messages.New(t.Context(), tideQuestion("claude-sonnet-5"))
	if err != nil || got.RawJSON() != message {
		t.Errorf("%v, %v", got, err)
	}
	check(t, claude+":rawPredict", version)
	if strings.Contains(string(s.Last().Body), `"model"`) {
		t.Errorf("the model is in the body: %s", s.Last().Body)
	}
	s.Script(fakeprovider.Always(fakeprovider.Stream([]byte(messageStream))))
	stream := messages.Messages.NewStreaming(t.Context(), tideQuestion("claude-sonnet-5"))
	var whole anthropic.Message
	for stream.Next() {
		if err := whole.Accumulate(stream.Current()); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Err(); err != nil || len(whole.Content) != 2 || whole.Content[0].Text != "At six 潮水." {
		t.Errorf("%+v, %v", whole, err)
	}
	check(t, claude+":streamRawPredict", version)
	s.Script(fakeprovider.Always(fakeprovider.JSON(200, `{"input_tokens":14}`)))
	count, err := messages.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{Model: "claude-sonnet-5", Messages: tideQuestion("").Messages})
	if err != nil || count.InputTokens != 14 {
		t.Errorf("%+v, %v", count, err)
	}
	check(t, "/v1"+project+"/publishers/anthropic/models/count-tokens:rawPredict", `"model":"claude-sonnet-5"`)

	// OpenAI's SDK, translated to Anthropic's API and passed to another publisher's model.
	client := openai.NewClient(option.WithBaseURL(g.URL+"/v1"), option.WithAPIKey(sdkKey), option.WithMaxRetries(0), option.WithRequestTimeout(2*patience))
	params := openai.ChatCompletionNewParams{Model: "claude-sonnet-5", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("潮水")}}
	s.Script(fakeprovider.Always(fakeprovider.Stream([]byte(messageStream))))
	chunks := client.Chat.Completions.NewStreaming(t.Context(), params)
	var sum openai.ChatCompletionAccumulator
	for chunks.Next() {
		sum.AddChunk(chunks.Current())
	}
	if err := chunks.Err(); err != nil || sum.Choices[0].Message.Content != "At six 潮水." || len(sum.Choices[0].Message.ToolCalls) != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
	check(t, claude+":streamRawPredict", version)
	s.Script(fakeprovider.Always(fakeprovider.Chat("m", "At six.", fakeprovider.Usage{Prompt: 9, Completion: 3})))
	params.Model = "meta/llama-5"
	plain, err := client.Chat.Completions.New(t.Context(), params)
	if err != nil || plain.Choices[0].Message.Content != "At six." {
		t.Errorf("%+v, %v", plain, err)
	}
	check(t, "/v1"+project+"/endpoints/openapi/chat/completions", `"model":"meta/llama-5"`)

	s.Script(fakeprovider.Always(fakeprovider.JSON(200, `{"predictions":[{"embeddings":{"values":[0.5,1],"statistics":{"truncated":false,"token_count":3}}},{"embeddings":{"values":[2,-1],"statistics":{"truncated":false,"token_count":4}}}]}`)))
	vectors, err := client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{Model: "text-embedding-005", Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"潮水", "b"}}})
	if err != nil || len(vectors.Data) != 2 || fmt.Sprint(vectors.Data[1].Embedding) != "[2 -1]" || vectors.Usage.PromptTokens != 7 {
		t.Errorf("%+v, %v", vectors, err)
	}
	check(t, "/v1beta1"+project+"/publishers/google/models/text-embedding-005:predict", `{"content":"潮水"}`)
	embedded, err := gen.Models.EmbedContent(t.Context(), "gemini-embedding-001", []*genai.Content{genai.NewContentFromText("潮水", ""), genai.NewContentFromText("b", "")}, &genai.EmbedContentConfig{TaskType: "CLUSTERING"})
	if err != nil || len(embedded.Embeddings) != 2 || fmt.Sprint(embedded.Embeddings[1].Values) != "[2 -1]" {
		t.Errorf("%+v, %v", embedded, err)
	}
	check(t, "/v1beta1"+project+"/publishers/google/models/gemini-embedding-001:predict", `{"content":"潮水","task_type":"CLUSTERING"}`)

	if n := asked.Load(); n != 1 {
		t.Errorf("%d tokens were fetched", n)
	}
}
