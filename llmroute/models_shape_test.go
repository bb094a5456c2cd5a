package llmroute

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmroute/modellist"
)

// TestModelsInEveryShape asks for lists that providers give in each shape, in each shape.
func TestModelsInEveryShape(t *testing.T) {
	const (
		openAI    = `{"id":"m","object":"model","created":1700000000,"owned_by":"o","x":1}`
		anthropic = `{"type":"model","id":"m","display_name":"M","created_at":"2023-11-14T22:13:20Z"}`
		google    = `{"name":"models/m","displayName":"M","inputTokenLimit":5}`
	)
	lists := map[string]string{
		"bedrock":  `{"modelSummaries":[{"modelArn":"arn:aws:bedrock:r::foundation-model/m","modelId":"m","modelName":"M"}]}`,
		"profiles": `{"inferenceProfileSummaries":[{"inferenceProfileId":"m","inferenceProfileName":"M","createdAt":"2023-11-14T22:13:20.5Z","type":"SYSTEM_DEFINED","status":"ACTIVE"},{"inferenceProfileId":"gone","status":"X"}]}`,
		"vertex":   `{"publisherModels":[{"name":"publishers/google/models/m","versionId":"001"}]}`,
		"openAI":   `{"object":"list","data":[` + openAI + `]}`, "anthropic": `{"data":[` + anthropic + `],"has_more":false}`, "google": `{"models":[` + google + `]}`,
	}
	type asked struct{ path, version string }
	for list, wants := range map[string]map[asked]string{
		"openAI": {
			{"/v1/models", ""}: lists["openAI"], {"/v1/models/m", ""}: openAI,
			{"/v1/models", "2023-06-01"}: `{"data":[{"type":"model","id":"m","display_name":"m","created_at":"2023-11-14T22:13:20Z"}],"has_more":false,"first_id":"m","last_id":"m"}`,
			{"/v1beta/models", ""}:       `{"models":[{"name":"models/m","displayName":"m","supportedGenerationMethods":["generateContent","countTokens"]}]}`,
		},
		"anthropic": {
			{"/v1/models", ""}:             `{"object":"list","data":[{"id":"m","object":"model","created":1700000000,"owned_by":"shapes"}]}`,
			{"/v1/models/m", "2023-06-01"}: anthropic, {"/v1beta/models/m", ""}: `{"name":"models/m","displayName":"M","supportedGenerationMethods":["generateContent","countTokens"]}`,
		},
		"bedrock": {
			{"/v1/models", ""}: `{"object":"list","data":[{"id":"m","object":"model","created":0,"owned_by":"shapes"}]}`, {"/v1beta/models/m", ""}: `{"name":"models/m","displayName":"M","supportedGenerationMethods":["generateContent","countTokens"]}`,
		},
		"profiles": {{"/v1/models", "2023-06-01"}: `{"data":[{"type":"model","id":"m","display_name":"M","created_at":"2023-11-14T22:13:20Z"}],"has_more":false,"first_id":"m","last_id":"m"}`},
		"vertex":   {{"/v1/models", ""}: `{"object":"list","data":[{"id":"m","object":"model","created":0,"owned_by":"shapes"}]}`},
		"google": {
			{"/v1/models/m", ""}: `{"id":"m","object":"model","created":0,"owned_by":"shapes"}`, {"/v1beta/models", ""}: `{"models":[` + google + `]}`,
			{"/v1/models/m", "2023-06-01"}:    `{"type":"model","id":"m","display_name":"M","created_at":"1970-01-01T00:00:00Z"}`,
			{"/v1/models/none", "2023-06-01"}: `{"type":"error","error":{"type":"not_found_error","message":"there is no model \"none\" here; GET /v1/models lists those there are"}}`,
			{"/v1beta/models/none", ""}:       `{"error":{"code":404,"message":"there is no model \"none\" here; GET /v1/models lists those there are","status":"NOT_FOUND"}}`,
		},
	} {
		u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, lists[list])
		})
		g := newGateway(t, providers("shapes", u.provider("")), `{"rules":[{"backends":[{"provider":"shapes"}]}]}`)
		g.app.static["shapes"].state.models = modellist.List{}
		for ask, want := range wants {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+ask.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if ask.version != "" {
				r.Header.Set("Anthropic-Version", ask.version)
			}
			res, err := g.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if string(got) != want || strings.Contains(ask.path, "none") != (res.StatusCode == http.StatusNotFound) {
				t.Errorf("%s, asked for %s %s: %d\n%s\nwant\n%s", list, ask.path, ask.version, res.StatusCode, got, want)
			}
		}
	}
}
