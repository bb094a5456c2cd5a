package modellist

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caddy-llm/gateway/llmprovider"
)

// TestModelsAreNamedAsTheyAreCalled reads the lists of clouds.
func TestModelsAreNamedAsTheyAreCalled(t *testing.T) {
	const arn = "arn:aws:bedrock:eu-central-1:1:application-inference-profile/x1"
	for list, want := range map[string]string{
		`{"modelSummaries":[{"modelArn":"a","modelId":"amazon.nova-3:0"},{"modelArn":"a","modelId":5},{"modelId":"x"}]}`:                                                                                                                                        "amazon.nova-3:0",
		`{"inferenceProfileSummaries":[{"inferenceProfileId":"eu.a","type":"SYSTEM_DEFINED"},{"inferenceProfileId":"x1","inferenceProfileArn":"` + arn + `","type":"APPLICATION"},{"inferenceProfileId":"x2","type":"APPLICATION"},{"inferenceProfileId":{}}]}`: "eu.a " + arn,
		`{"publisherModels":[{"name":"publishers/google/models/gemini-3-pro","versionId":"001"},{"name":"publishers/google/models/"},{"name":"publishers/x"}]}`:                                                                                                 "gemini-3-pro",
		`{"publisherModels":[{"name":"publishers/anthropic/models/claude-a","versionId":"20260101"},{"name":"publishers/anthropic/models/claude-b","versionId":"default"}]}`:                                                                                    "claude-a@20260101 claude-b",
		`{"publisherModels":[{"name":"publishers/meta/models/llama","versionId":"20260101"}]}`:                                                                                                                                                                  "meta/llama",
		`{"publisherModels":[]}`: "",
	} {
		models, next, err := read([]byte(list))
		var names []string
		for _, m := range models {
			names = append(names, m.ID)
		}
		if got := strings.Join(names, " "); got != want || err != nil || next != nil {
			t.Errorf("%s: %q, %v, %v", list, got, next, err)
		}
	}
}

// FuzzRead has nothing of a list panic, and its models written as JSON in any shape.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"data":[{"id":"a"}],"has_more":true,"last_id":"a"}`, `{"models":[{"name":"models/m"}],"nextPageToken":"x"}`, `["a"]`,
		`{"modelSummaries":[{"modelArn":"a","modelId":"m"}]}`, `{"inferenceProfileSummaries":[{"inferenceProfileId":"m","type":"APPLICATION"}]}`,
		`{"publisherModels":[{"name":"publishers/anthropic/models/c","versionId":"20260101"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		models, next, err := read(body)
		if err != nil && (models != nil || next != nil) || next != nil && (next.Token == "" || next.Parameter == "") {
			t.Errorf("%v, %v, %v", models, next, err)
		}
		for i := range models {
			for _, api := range []llmprovider.API{llmprovider.OpenAIAPI, llmprovider.MessagesAPI, llmprovider.GeminiAPI} {
				if got := models[i].In(api, "p"); utf8.Valid(body) && !json.Valid([]byte(got)) {
					t.Errorf("%q", got)
				}
			}
		}
	})
}
