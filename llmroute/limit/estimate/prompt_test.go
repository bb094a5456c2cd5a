package estimate

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
)

func TestReadPrompt(t *testing.T) {
	image := strings.Repeat("iVBORw0KGgo", 200)
	chat, completions := llmprovider.Endpoint{Operation: llmprovider.Chat}, llmprovider.Endpoint{Operation: llmprovider.TextCompletion, Suffix: "/completions"}
	responses, compact := llmprovider.Endpoint{Operation: llmprovider.Responses, Suffix: "/responses"}, llmprovider.Endpoint{Operation: llmprovider.Responses, Suffix: llmprovider.CompactSuffix}
	messages := llmprovider.Endpoint{Operation: llmprovider.Chat, API: llmprovider.MessagesAPI, Suffix: llmprovider.MessagesSuffix}
	gemini := llmprovider.Endpoint{Operation: llmprovider.Chat, API: llmprovider.GeminiAPI, Suffix: ":generateContent", Model: "m"}
	const all = `{"max_completion_tokens":1,"max_tokens":2,"max_output_tokens":3,"generationConfig":{"maxOutputTokens":4,"candidateCount":5},"inferenceConfig":{"maxTokens":6},"n":7,"best_of":8}`
	for _, test := range []struct {
		endpoint               llmprovider.Endpoint
		body                   string
		output, choices, media int64
	}{
		{chat, all, 2 * 7, 7, 0},
		{completions, all, 2 * 8, 8, 0},
		{responses, all, 3, 1, 0},
		{compact, all, 0, 1, 0},
		{messages, all, 2, 1, 0},
		{gemini, all, 4 * 5, 5, 0},
		{llmprovider.Endpoint{Operation: llmprovider.Images, Suffix: "/images/generations"}, all, 0, 7, 0},
		{llmprovider.Endpoint{Operation: llmprovider.Audio, Suffix: "/audio/speech"}, all, 0, 1, 0},
		{chat, `{"messages":[]}`, 0, 1, 0},
		{chat, `{"max_tokens":10,"max_completion_tokens":20}`, 20, 1, 0},
		{chat, `{"max_tokens":10,"max_tokens":900}`, 900, 1, 0},
		{responses, `{"max_output_tokens":1e3}`, 1000, 1, 0},
		{chat, `{"max_tokens":100,"n":3}`, 300, 3, 0},
		{chat, `{"n":1e9,"max_tokens":99999999999}`, MaxOutput * 128, 128, 0},
		{chat, `{"max_tokens":-5,"n":0}`, 0, 1, 0},
		{chat, `{"max_tokens":"10","n":null}`, 0, 1, 0},
		{gemini, `{"generation_config":{"max_output_tokens":7,"candidate_count":2}}`, 14, 2, 0},
		{chat, `{"metadata":{"max_tokens":7}}`, 0, 1, 0},
		{chat, `{"messages":[{"content":[{"image_url":{"url":"data:image/png;base64,` + image + `"}},{"data":"` + image + `"}]}]}`, 0, 1, 2},
		{chat, `{"messages":[{"content":"` + strings.Repeat("a", 5000) + `"}]}`, 0, 1, 0},
		{chat, `{"messages":[{"content":"` + strings.Repeat("word and ", 500) + `"}]}`, 0, 1, 0},
	} {
		p := Read(test.endpoint, []byte(test.body))
		if p.Output != test.output || p.Choices != test.choices || p.Media != test.media || p.Size != int64(len(test.body)) {
			t.Errorf("%s %.80s: %+v", test.endpoint.Path(), test.body, p)
		}
	}
}

func FuzzReadPrompt(f *testing.F) {
	f.Add([]byte(`{"max_tokens":10,"n":2,"generationConfig":{"candidateCount":2}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) {
			return
		}
		for _, api := range []llmprovider.API{llmprovider.OpenAIAPI, llmprovider.GeminiAPI} {
			read(t, llmprovider.Endpoint{Operation: llmprovider.Chat, API: api}, body)
		}
	})
}

func read(t *testing.T, e llmprovider.Endpoint, body []byte) {
	p := Read(e, body)
	if p.Bytes < 0 || p.Bytes > p.Size || p.Choices < 1 || p.Output < 0 || p.Output > 128*MaxOutput || p.Media < 0 {
		t.Errorf("%+v", p)
	}
}

func TestRatiosAreLearned(t *testing.T) {
	var e Ratios
	p := Prompt{Size: 4000, Bytes: 4000, Choices: 1}
	typical, strict := e.Estimate(p, "m")
	if typical != 4000/3+1 || strict != 4000 {
		t.Errorf("at first %d, %d", typical, strict)
	}
	for range 100 {
		e.Learn(p, "m", 1000)
	}
	if typical, _ = e.Estimate(p, "m"); typical < 1000 || typical > 1100 {
		t.Errorf("learned %d", typical)
	}
	for range 100 {
		e.Learn(p, "m", 1)
		e.Learn(p, "m", 1<<40)
	}
	if typical, _ = e.Estimate(p, "m"); typical < 500 || typical > 4001 {
		t.Errorf("absurd counts make it %d", typical)
	}
}
