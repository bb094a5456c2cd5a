package llmprovider

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// at is a path as a server reads it from a request line.
func at(t testing.TB, path string) *url.URL {
	t.Helper()
	if path == "" {
		return new(url.URL)
	}
	u, err := url.ParseRequestURI(path)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestEndpointOfPath(t *testing.T) {
	chat, embeddings := Endpoint{Operation: Chat}, Endpoint{Operation: Embeddings, Suffix: "/embeddings"}
	models := func(name string) Endpoint { return Endpoint{Operation: ListModels, Suffix: "/models" + name} }
	for _, test := range []struct {
		method, path string
		want         Endpoint
	}{
		{"POST", "/", chat},
		{"POST", "", chat},
		{"GET", "/", chat},
		{"POST", "/?api-version=1", chat},
		{"POST", "/v1/chat/completions", chat},
		{"POST", "/v1/chat/completions/", chat},
		{"POST", "/chat/completions", chat},
		{"POST", "/compatible-mode/v1/chat/completions", chat},
		{"POST", "/api/paas/v4/chat/completions", chat},
		{"POST", "/v1/projects/p/locations/l/endpoints/openapi/chat/completions", chat},
		{"POST", "/serving-endpoints/chat/completions", chat},
		{"GET", "/v1/chat/completions", chat},

		{"POST", "/v1/completions", Endpoint{Operation: TextCompletion, Suffix: "/completions"}},
		{"POST", "/completions/", Endpoint{Operation: TextCompletion, Suffix: "/completions"}},
		{"POST", "/v1/responses", Endpoint{Operation: Responses, Suffix: "/responses"}},
		{"POST", "/v1/responses/compact", Endpoint{Operation: Responses, Suffix: "/responses/compact"}},
		{"POST", "/v1/responses/input_tokens", Endpoint{Operation: CountTokens, Suffix: "/responses/input_tokens"}},
		{"POST", "/responses/input_tokens", Endpoint{Operation: CountTokens, Suffix: "/responses/input_tokens"}},
		{"POST", "/embeddings", embeddings},
		{"POST", "/v1/embeddings", embeddings},
		{"POST", "/v1beta/embeddings", embeddings},
		{"POST", "/v1/embeddings/", embeddings},
		{"POST", "/compatible-mode/v1/embeddings", embeddings},
		{"GET", "/v1/embeddings", embeddings},
		{"POST", "/rerank", Endpoint{Operation: Rerank, Suffix: "/rerank"}},
		{"POST", "/v2/rerank", Endpoint{Operation: Rerank, Suffix: "/rerank"}},
		{"POST", "/v1/moderations", Endpoint{Operation: Moderations, Suffix: "/moderations"}},
		{"POST", "/v1/images/generations", Endpoint{Operation: Images, Suffix: "/images/generations"}},
		{"POST", "/v1/images/edits", Endpoint{Operation: Images, Suffix: "/images/edits"}},
		{"POST", "/v1/images/variations", Endpoint{Operation: Images, Suffix: "/images/variations"}},
		{"POST", "/v1/messages", Endpoint{Operation: Chat, API: MessagesAPI, Suffix: "/messages"}},
		{"POST", "/messages", Endpoint{Operation: Chat, API: MessagesAPI, Suffix: "/messages"}},
		{"POST", "/anthropic/v1/messages", Endpoint{Operation: Chat, API: MessagesAPI, Suffix: "/messages"}},
		{"POST", "/v1/messages/count_tokens", Endpoint{Operation: CountTokens, API: MessagesAPI, Suffix: "/messages/count_tokens"}},
		{"POST", "/v1beta/models/gemini-3:generateContent", Endpoint{Operation: Chat, API: GeminiAPI, Suffix: ":generateContent", Model: "gemini-3"}},
		{"POST", "/v1beta/models/a%2Fb:streamGenerateContent?alt=sse", Endpoint{Operation: Chat, API: GeminiAPI, Suffix: ":streamGenerateContent", Model: "a/b"}},
		{"POST", "/models/x:countTokens", Endpoint{Operation: CountTokens, API: GeminiAPI, Suffix: ":countTokens", Model: "x"}},
		{"POST", "/v1/projects/p/locations/l/publishers/google/models/m:embedContent", Endpoint{Operation: Embeddings, API: GeminiAPI, Suffix: ":embedContent", Model: "m"}},
		{"POST", "/v1/audio/speech", Endpoint{Operation: Audio, Suffix: "/audio/speech"}},
		{"POST", "/v1/audio/transcriptions", Endpoint{Operation: Audio, Suffix: "/audio/transcriptions"}},
		{"POST", "/v1/audio/translations", Endpoint{Operation: Audio, Suffix: "/audio/translations"}},
		{"POST", "/tokenize", Endpoint{Operation: Tokenize, Suffix: "/tokenize"}},
		{"POST", "/v1/detokenize", Endpoint{Operation: Tokenize, Suffix: "/detokenize"}},
		{"POST", "/score", Endpoint{Operation: Score, Suffix: "/score"}},
		{"POST", "/v1/classify", Endpoint{Operation: Classify, Suffix: "/classify"}},
		{"POST", "/pooling", Endpoint{Operation: Pooling, Suffix: "/pooling"}},

		{"GET", "/v1/responses/resp_1?stream=true&x=1&starting_after=4&include%5B%5D=a%26b", Endpoint{Operation: StoredResponse, Suffix: "/responses/resp_1", Method: "GET", Query: "include%5B%5D=a%26b&starting_after=4&stream=true"}},
		{"DELETE", "/openai/responses/r-1/", Endpoint{Operation: StoredResponse, Suffix: "/responses/r-1", Method: "DELETE"}},
		{"GET", "/responses/r/input_items?limit=2", Endpoint{Operation: StoredResponse, Suffix: "/responses/r/input_items", Method: "GET", Query: "limit=2"}},
		{"POST", "/v1/responses/r/cancel", Endpoint{Operation: StoredResponse, Suffix: "/responses/r/cancel", Method: "POST"}},

		{"POST", "/openai/v1/responses", Endpoint{Operation: Responses, Suffix: "/responses"}},
		{"POST", "/openai/responses?api-version=1", Endpoint{Operation: Responses, Suffix: "/responses"}},
		{"POST", "/openai/deployments/gpt-4o/chat/completions", Endpoint{Operation: Chat, Model: "gpt-4o"}},
		{"POST", "/openai/deployments/embeddings/embeddings", Endpoint{Operation: Embeddings, Suffix: "/embeddings", Model: "embeddings"}},
		{"POST", "/team/openai/deployments/org%2Fm%20x/completions/", Endpoint{Operation: TextCompletion, Suffix: "/completions", Model: "org/m x"}},

		{"GET", "/v1/models", models("")},
		{"GET", "/v1/models/", models("")},
		{"GET", "/models", models("")},
		{"HEAD", "/compatible-mode/v1/models", models("")},
		{"GET", "/openai/models", models("")},
		{"GET", "/v1/models/gpt-4o", models("/gpt-4o")},
		{"GET", "/v1/models/meta-llama/Llama-3", models("/meta-llama/Llama-3")},
		{"GET", "/v1/models/meta-llama%2FLlama-3", models("/meta-llama/Llama-3")},
		{"GET", "/models/gpt-4o", models("/gpt-4o")},
		{"HEAD", "/models/meta-llama/Llama-3/", models("/meta-llama/Llama-3")},
		{"GET", "/models/a/v1/models/b", models("/a/v1/models/b")},
		{"GET", "/v1/models/ft:x/models", models("/ft:x/models")},
		{"GET", "/v1/models/embeddings", models("/embeddings")},
		{"GET", "/models/x/chat/completions", models("/x/chat/completions")},
	} {
		if got := EndpointOf(test.method, at(t, test.path)); got != test.want {
			t.Errorf("%s %s is %+v, want %+v", test.method, test.path, got, test.want)
		}
	}
}

// These are endpoints only where a provider has the very path.
func TestPathsThatAreNoEndpoint(t *testing.T) {
	for path, operation := range map[string]Operation{
		"/v1": Chat, "/v1/": Chat, "/anything": Chat, "/healthz": Chat, "/v1/unknown": Chat, "/xcompletions": Chat, "/v1/chat": Chat, "//": Chat, "/.": Chat,
		"/v1/threads/messages": Chat, "/v1/messages/m1": Chat, "/v1beta/models/x:predict": Chat, "/v1beta/tunedModels/x:generateContent": Chat,
		"/v1/messages/batches": Chat, "/v1beta/models/:countTokens": Chat, "/models/../x:countTokens": Chat, "/publishers/google/models/x:countTokens": Chat,
		"/v1/tokens/count": Chat, "/v1/models": Chat,
		"/v1/assistants": Chat, "/assistants": Chat, "/v1/batches": Chat, "/v1/files": Chat, "/v1/files/f1/content": Chat, "/v1/fine_tuning/jobs": Chat,
		"/v1/threads/t/runs": Chat, "/v1/responses/r1": Chat, "/v1/responses/r1/input_items": Chat, "/v1/responses/r1/cancel/x": Chat, "/v1/responses/input_tokens/x": Chat,
		"/v1/responses//cancel": Chat, "/v1/responses/r%31/cancel": Chat, "/v1/responses/../cancel": Chat, "/v1/files/responses/r1/cancel": Chat, "/openai/deployments/m/responses/r1/cancel": Chat,
		"/v1/chat/completions/c1": Chat, "/v1/audio/voices": Chat, "/v1/images/unknown": Chat, "/v1/realtime/sessions": Chat,

		"/v1/embeddings%2F": Chat, "/v1/%65mbeddings": Chat, "/v1/embeddings;x": Chat, "/v1/embeddings//": Chat, "/v1/Embeddings": Chat, "/v1%2Fembeddings": Chat,
		"/v1//embeddings": Embeddings, "/V1/embeddings": Embeddings, "/v1/./embeddings": Embeddings, "/x/../v1/embeddings": Embeddings, "//embeddings": Embeddings,
		"/v1;x/embeddings": Embeddings, "/%761/embeddings": Embeddings, "/v1/%2e/embeddings": Embeddings, "/v1/x/embeddings": Embeddings, "/healthz/embeddings": Embeddings,
		"/v1/chat/embeddings": Embeddings, "/v1/assistants/embeddings": Embeddings, "/v1/chat/v1/embeddings": Embeddings, "/v1/FILES/v1/embeddings": Embeddings,
		"/v1/engines/davinci/completions": TextCompletion, "/v1/messages/v1/completions": TextCompletion, "/deployments/m/completions": TextCompletion,
		"/v1beta/openai.x/embeddings": Embeddings, "/v/embeddings": Embeddings, "/vx/embeddings": Embeddings,

		"/v1/files/chat/completions": Chat, "/v1//chat/completions": Chat, "/v1/./chat/completions": Chat, "/v1/%66iles/chat/completions": Chat,
		"/models/chat/completions": Chat, "/openai/deployments/m/x/chat/completions": Chat, "/openai/deployments//chat/completions": Chat,
		"/openai/deployments/../chat/completions": Chat, "/openai/deployments/%2e%2e/chat/completions": Chat, "/openai/deployments/%00/chat/completions": Chat,
		"/openai/deployments/a%2F%2Fb/chat/completions": Chat, "/files/openai/deployments/m/chat/completions": Chat, "/openai/deployments/%FF/chat/completions": Chat,
	} {
		u := at(t, path)
		e := EndpointOf(http.MethodPost, u)
		if e.Own == "" || e.Operation != operation || e.Model != "" {
			t.Errorf("%s is %+v, want %s where a provider has the path", path, e, operation)
		}
		if again := EndpointOf(http.MethodPost, at(t, e.Path())); again.Own != "" || again.Operation != e.Operation || again.Suffix != e.Suffix {
			t.Errorf("%s, spelled %s, is %+v", path, e.Path(), again)
		}
	}
	for _, path := range []string{"/v1/models//x", "/v1/models/../embeddings", "/v1/models/%2e%2e", "/v1/models/a%00", "/files/models", "/v1//models", "/v1/x/models"} {
		if e := EndpointOf(http.MethodGet, at(t, path)); e.Own == "" {
			t.Errorf("%s is %+v", path, e)
		}
	}
}

func TestWhatAppliesToAnEndpoint(t *testing.T) {
	type applies struct{ model, stream, asksUsage, multipart bool }
	for _, e := range append(endpoints[:len(endpoints):len(endpoints)], Endpoint{Operation: ListModels, Suffix: ModelsSuffix}) {
		var want applies
		switch e.Operation {
		case Chat, TextCompletion:
			want = applies{true, true, e.API == OpenAIAPI, false}
		case Responses:
			want = applies{true, e.Suffix == "/responses", false, false}
		case CountTokens:
			want = applies{model: true}
		case Images, Audio:
			want = applies{multipart: true}
		}
		if got := (applies{e.TakesModel(), e.TakesStream(), e.AsksStreamUsage(), e.multipart()}); got != want {
			t.Errorf("%+v: %+v, want %+v", e, got, want)
		}
	}
}

// TestLongPathsAreReadOnce holds that the time for a path grows with its length, and no faster:
// anybody may send one, and nobody is known before it is read.
func TestLongPathsAreReadOnce(t *testing.T) {
	for _, part := range []string{"/models", "/models/%61", "/models/a", "/openai/deployments/models", "/v1/responses", "/openai/deployments/a", "/v1/publishers/a"} {
		u := at(t, strings.Repeat(part, 56000/len(part)))
		began := time.Now()
		for range 10 {
			EndpointOf(http.MethodGet, u)
		}
		if took := time.Since(began); took > time.Second { // it is about 10 ms
			t.Errorf("%s: %s", part, took)
		}
	}
}
