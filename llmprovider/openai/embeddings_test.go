package openai

import (
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
)

// TestGooglesClientsGetEmbeddings has Google's requests for embeddings go to the
// provider's embeddings endpoint, and no request for embeddings to chat completions.
func TestGooglesClientsGetEmbeddings(t *testing.T) {
	p := provisioned(t, `{"host":"a.example"}`)
	for path, body := range map[string]string{
		"/v1beta/models/e:embedContent":       `{"content":{"parts":[{"text":"x"}]}}`,
		"/v1beta/models/e:batchEmbedContents": `{"requests":[{"model":"models/e","content":{"parts":[{"text":"x"}]}}]}`,
	} {
		a := attempt(t, p, read(t, post(path, "", body)), "")
		if a.Request.URL.Path != "/v1/embeddings" || a.Model != "e" || a.Translation == nil {
			t.Errorf("%s goes to %s with the model %q", path, a.Request.URL, a.Model)
		}
		if got := sent(t, a); got != `{"model":"e","input":"x"}` && got != `{"model":"e","input":["x"]}` {
			t.Errorf("%s is sent as %s", path, got)
		}
	}
	if _, refused := provisioned(t, `{"host":"a.example","path":"/own"}`).NewAttempt(t.Context(), read(t, post("/v1beta/models/e:embedContent", "", `{"content":{"parts":[{"text":"x"}]}}`)), llmprovider.Settings{}); refused == nil {
		t.Error("a provider without embeddings is asked for them")
	}
}
