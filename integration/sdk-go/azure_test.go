package sdk

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/azure"
	"github.com/openai/openai-go/v3/option"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// azureProviders has Azure's two forms of OpenAI's API, and Anthropic's beside them.
const azureProviders = `{
	llm {
		status_listen off
		provider v1 {{.Main}}/openai/v1/chat/completions {
			kind azure
			api messages /anthropic/v1/messages x-api-key
			api_key {env.MAIN_KEY}
			tls_trust_pool file {{.CA}}
		}
		provider classic {{.Main}} {
			kind azure
			api_version 2024-10-21
			api_key {env.OTHER_KEY}
			tls_trust_pool file {{.CA}}
		}
	}
}

http://:{{.Port}} {
	llm_route {
		rule classic {
			match llm_model classic-*
			to classic
		}
		rule v1 {
			to v1
		}
	}
}
`

func checkAzure(t *testing.T, s *fakeprovider.Server, target, header, key string) {
	t.Helper()
	r := s.Last()
	if got := r.Header[header]; r.Target != target || len(got) != 1 || got[0] != key {
		t.Errorf("%s with %v, want %s", r.Target, r.Header, target)
	}
	for name, values := range r.Header {
		if strings.Contains(strings.Join(values, " "), sdkKey) {
			t.Errorf("the provider got the client's key in %s", name)
		}
	}
	if !json.Valid(r.Body) {
		t.Errorf("the body is %s", r.Body)
	}
}

// TestAzure holds that the official SDK reaches Azure as it does any provider, and in the
// way that it calls Azure itself.
func TestAzure(t *testing.T) {
	s := fakeprovider.New(t)
	g := serve(t, azureProviders, map[string]any{"Main": s.URL(), "CA": s.CAFile()})
	for name, own := range map[string][]option.RequestOption{
		"plain":  {option.WithBaseURL(g.URL + "/v1"), option.WithAPIKey(sdkKey)},
		"azures": {azure.WithEndpoint(g.URL, "2025-01-01-preview"), azure.WithUnsafeAllowHTTP(), azure.WithAPIKey(sdkKey)},
	} {
		client := openai.NewClient(append(own, option.WithMaxRetries(0), option.WithRequestTimeout(2*patience))...)
		for model, want := range map[string][2]string{
			"d-1":       {"/openai/v1/chat/completions", providerKey},
			"classic-1": {"/openai/deployments/classic-1/chat/completions?api-version=2024-10-21", otherKey},
		} {
			t.Run(name+" "+model, func(t *testing.T) {
				params := openai.ChatCompletionNewParams{Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hello")}}
				s.Script(fakeprovider.Always(fakeprovider.Chat(model, "At six.", fakeprovider.Usage{Prompt: 9, Completion: 3})))
				res, err := client.Chat.Completions.New(t.Context(), params)
				if err != nil || res.Choices[0].Message.Content != "At six." || res.Usage.PromptTokens != 9 {
					t.Fatalf("%+v, %v", res, err)
				}
				checkAzure(t, s, want[0], "Api-Key", want[1])

				s.Script(fakeprovider.Always(fakeprovider.ChatStream(model, "At six.", &fakeprovider.Usage{Prompt: 9, Completion: 3})))
				stream := client.Chat.Completions.NewStreaming(t.Context(), params)
				var whole openai.ChatCompletionAccumulator
				for stream.Next() {
					whole.AddChunk(stream.Current())
				}
				if err := stream.Err(); err != nil || whole.Choices[0].Message.Content != "At six." {
					t.Errorf("%+v, %v", whole, err)
				}
				checkAzure(t, s, want[0], "Api-Key", want[1])

				s.Script(fakeprovider.Always(fakeprovider.JSON(200, `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"m","usage":{"prompt_tokens":3,"total_tokens":3}}`)))
				vectors, err := client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{Model: model, Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String("x")}})
				if err != nil || len(vectors.Data) != 1 || vectors.Data[0].Embedding[0] != 0.5 {
					t.Errorf("%+v, %v", vectors, err)
				}
				checkAzure(t, s, strings.Replace(want[0], "chat/completions", "embeddings", 1), "Api-Key", want[1])
			})
		}
	}

	claude := anthropic.NewClient(anthropicoption.WithBaseURL(g.URL), anthropicoption.WithAPIKey(sdkKey), anthropicoption.WithMaxRetries(0), anthropicoption.WithRequestTimeout(2*patience))
	s.Script(fakeprovider.Always(fakeprovider.JSON(200, message)))
	got, err := claude.Messages.New(t.Context(), tideQuestion("claude-sonnet-5"))
	if err != nil || got.RawJSON() != message {
		t.Errorf("%v, %v", got, err)
	}
	checkAzure(t, s, "/anthropic/v1/messages", "X-Api-Key", providerKey)
}
