package sdk

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/fixtures"
)

var embedding = openai.EmbeddingNewParams{
	Model: "text-embedding-3-small",
	Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"ebb", "flood"}},
}

// otherEndpoints has a provider with a chat model of its own.
const otherEndpoints = `{
	llm {
		status_listen off
		provider main {{.Main}}/compatible-mode/v1/chat/completions {
			model the-chat-model
			api responses
			api_key {env.MAIN_KEY}
			tls_trust_pool file {{.CA}}
		}
	}
}

http://:{{.Port}} {
	llm_route {
		to main
	}
}
`

func serveOtherEndpoints(t *testing.T) (*fakeprovider.Server, *openai.Client) {
	s := fakeprovider.New(t)
	return s, serve(t, otherEndpoints, map[string]any{"Main": s.URL(), "CA": s.CAFile()}).client()
}

func TestEmbeddings(t *testing.T) {
	s, client := serveOtherEndpoints(t)
	f := fixtures.Get(t, "openai/embeddings.json")
	s.Script(fakeprovider.Always(f.Reply()))
	got, err := client.Embeddings.New(t.Context(), embedding)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Data) != 1 || len(got.Data[0].Embedding) != 6 || got.Usage.PromptTokens != f.Want.Usage.Prompt {
		t.Errorf("%s", got.RawJSON())
	}
	r := s.Last()
	checkKeys(t, r, providerKey)
	if r.Path != "/compatible-mode/v1/embeddings" || r.Model != "text-embedding-3-small" {
		t.Errorf("the provider was asked for %q at %s", r.Model, r.Path)
	}
}

func TestCompletions(t *testing.T) {
	s, client := serveOtherEndpoints(t)
	params := openai.CompletionNewParams{
		Model:  "gpt-3.5-turbo-instruct",
		Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("The tide")},
	}
	f := fixtures.Get(t, "openai/completions.json")
	s.Script(fakeprovider.Always(f.Reply()))
	got, err := client.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Choices) == 0 || got.Choices[0].Text != f.Want.Content || got.Usage.CompletionTokens != f.Want.Usage.Completion {
		t.Errorf("%s, want %+v", got.RawJSON(), f.Want)
	}
	r := s.Last()
	checkKeys(t, r, providerKey)
	if r.Path != "/compatible-mode/v1/completions" || r.Model != "the-chat-model" {
		t.Errorf("the provider was asked for %q at %s", r.Model, r.Path)
	}

	f = fixtures.Get(t, "openai/completions.sse")
	s.Script(fakeprovider.Always(f.Reply()))
	stream := client.Completions.NewStreaming(t.Context(), params)
	text := ""
	for stream.Next() {
		chunk := stream.Current()
		if len(chunk.Choices) == 0 {
			t.Errorf("the usage that nobody asked for: %s", chunk.RawJSON())
			continue
		}
		text += chunk.Choices[0].Text
	}
	if err := stream.Err(); err != nil || text != f.Want.Content {
		t.Errorf("streamed %q, want %q; %v", text, f.Want.Content, err)
	}
}

func TestResponses(t *testing.T) {
	s, client := serveOtherEndpoints(t)
	params := responses.ResponseNewParams{
		Model: "gpt-4.1",
		Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Will the fog lift?")},
	}
	f := fixtures.Get(t, "openai/responses.json")
	s.Script(fakeprovider.Always(f.Reply()))
	got, err := client.Responses.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	if got.OutputText() != f.Want.Content || got.Usage.InputTokens != f.Want.Usage.Prompt || got.Usage.OutputTokens != f.Want.Usage.Completion {
		t.Errorf("%s, want %+v", got.RawJSON(), f.Want)
	}
	r := s.Last()
	checkKeys(t, r, providerKey)
	if r.Path != "/compatible-mode/v1/responses" || r.Model != "the-chat-model" {
		t.Errorf("the provider was asked for %q at %s", r.Model, r.Path)
	}
}

// TestStoredResponses has the SDK fetch, cancel and delete what the provider has stored.
func TestStoredResponses(t *testing.T) {
	s, client := serveOtherEndpoints(t)
	f := fixtures.Get(t, "openai/responses.json")
	s.Script(fakeprovider.Always(f.Reply()))
	check := func(what, method, path, query string, err error) {
		t.Helper()
		r := s.Last()
		checkKeys(t, r, providerKey)
		if err != nil || r.Method != method || r.Path != "/compatible-mode/v1/responses/resp_1"+path || r.RawQuery != query || len(r.Body) > 0 {
			t.Errorf("%s: %v; the provider got %s %s?%s %s", what, err, r.Method, r.Path, r.RawQuery, r.Body)
		}
	}
	got, err := client.Responses.Get(t.Context(), "resp_1", responses.ResponseGetParams{Include: []responses.ResponseIncludable{"reasoning.encrypted_content"}})
	check("fetched", "GET", "", "include%5B%5D=reasoning.encrypted_content", err)
	if got.OutputText() != f.Want.Content {
		t.Errorf("%s", got.RawJSON())
	}
	_, err = client.Responses.Cancel(t.Context(), "resp_1")
	check("cancelled", "POST", "/cancel", "", err)
	check("deleted", "DELETE", "", "", client.Responses.Delete(t.Context(), "resp_1"))

	s.Script(fakeprovider.Always(fixtures.Get(t, "openai/responses.sse").Reply()))
	stream := client.Responses.GetStreaming(t.Context(), "resp_1", responses.ResponseGetParams{StartingAfter: openai.Int(2)},
		option.WithQuery("stream", "true")) // the SDK alone says it in a body, which no GET request has
	last := ""
	for stream.Next() {
		last = stream.Current().Type
	}
	check("streamed", "GET", "", "starting_after=2&stream=true", stream.Err())
	if last != "response.completed" {
		t.Errorf("the stream ended with %q", last)
	}
}

func TestResponsesStream(t *testing.T) {
	s, client := serveOtherEndpoints(t)
	params := responses.ResponseNewParams{
		Model: "gpt-4.1",
		Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Will the fog lift?")},
	}
	for id, last := range map[string]string{
		"openai/responses.sse":            "response.completed",
		"openai/responses-incomplete.sse": "response.incomplete",
		"openai/responses-failed.sse":     "response.failed",
	} {
		t.Run(last, func(t *testing.T) {
			f := fixtures.Get(t, id)
			s.Script(fakeprovider.Always(f.Reply()))
			stream := client.Responses.NewStreaming(t.Context(), params)
			text, events := "", []string(nil)
			var final responses.Response
			for stream.Next() {
				event := stream.Current()
				events = append(events, event.Type)
				if event.Type == "response.output_text.delta" {
					text += event.Delta
				}
				final = event.Response
			}
			if err := stream.Err(); err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, e := range fakeprovider.Events(f.Body) {
				want = append(want, e.Name)
			}
			if !slices.Equal(events, want) || events[len(events)-1] != last {
				t.Errorf("events %q, want %q", events, want)
			}
			if f.Want.Content != "" && text != f.Want.Content {
				t.Errorf("text %q, want %q", text, f.Want.Content)
			}
			if u := f.Want.Usage; u != nil && (final.Usage.InputTokens != u.Prompt || final.Usage.OutputTokens != u.Completion) {
				t.Errorf("usage %+v, want %+v", final.Usage, u)
			}
			if strings.Contains(string(s.Last().Body), "stream_options") {
				t.Errorf("the Responses API has no stream_options: %s", s.Last().Body)
			}
		})
	}
}

func TestFileUpload(t *testing.T) {
	s, client := serveOtherEndpoints(t)
	s.Script(fakeprovider.Always(fakeprovider.JSON(200, `{"text":"The tide turns at six."}`)))
	sound := bytes.Repeat([]byte("RIFF\x00\xff\r\n--"), 20_000)
	got, err := client.Audio.Transcriptions.New(t.Context(), openai.AudioTranscriptionNewParams{
		Model: "whisper-1", File: openai.File(bytes.NewReader(sound), "tide.wav", "audio/wav"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Text != "The tide turns at six." {
		t.Errorf("%s", got.RawJSON())
	}
	r := s.Last()
	checkKeys(t, r, providerKey)
	if r.Path != "/compatible-mode/v1/audio/transcriptions" || !bytes.Contains(r.Body, sound) || !bytes.Contains(r.Body, []byte("whisper-1")) {
		t.Errorf("the provider got %d bytes at %s", len(r.Body), r.Path)
	}
}
