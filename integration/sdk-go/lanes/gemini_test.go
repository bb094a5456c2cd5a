package lanes_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"google.golang.org/genai"

	"github.com/caddy-llm/gateway/integration/fakemodel"
)

// geminiClient speaks Google's Gemini API.
type geminiClient struct {
	t        *testing.T
	client   *genai.Client
	contents []*genai.Content
	config   *genai.GenerateContentConfig
}

func newGemini(t *testing.T, url string) conversation {
	client, err := genai.NewClient(t.Context(), &genai.ClientConfig{APIKey: sdkKey, Backend: genai.BackendGeminiAPI, HTTPOptions: genai.HTTPOptions{BaseURL: url}})
	if err != nil {
		t.Fatal(err)
	}
	return &geminiClient{
		t: t, client: client,
		contents: []*genai.Content{{Role: genai.RoleUser, Parts: []*genai.Part{{Text: question}, {InlineData: &genai.Blob{MIMEType: "image/png", Data: []byte("\x89PNG\r\n\x1a\n")}}}}},
		config: &genai.GenerateContentConfig{
			SystemInstruction: genai.NewContentFromText(system, genai.RoleUser), ThinkingConfig: &genai.ThinkingConfig{IncludeThoughts: true},
			Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{
				{Name: "get_tide", ParametersJsonSchema: json.RawMessage(tideSchema)}, {Name: "get_wind", ParametersJsonSchema: json.RawMessage(windSchema)},
			}}},
		},
	}
}

func (c *geminiClient) ask(stream bool) (h heard, err error) {
	kept := &genai.Content{Role: genai.RoleModel}
	add := func(res *genai.GenerateContentResponse) {
		if u := res.UsageMetadata; u != nil {
			h.prompt, h.cached, h.completion = int64(u.PromptTokenCount), int64(u.CachedContentTokenCount), int64(u.CandidatesTokenCount+u.ThoughtsTokenCount)
		}
		if len(res.Candidates) == 0 {
			return
		}
		if finish := res.Candidates[0].FinishReason; finish != "" {
			h.finish = string(finish)
		}
		if res.Candidates[0].Content == nil {
			return
		}
		for _, part := range res.Candidates[0].Content.Parts {
			switch {
			case part.FunctionCall != nil:
				data, _ := json.Marshal(part.FunctionCall.Args) // it was read from JSON
				h.calls = append(h.calls, fakemodel.Call{ID: part.FunctionCall.ID, Name: part.FunctionCall.Name, Arguments: string(data)})
			case part.Thought:
				h.reasoning += part.Text
			default:
				h.text += part.Text
			}
			kept.Parts = append(kept.Parts, part)
		}
	}
	if !stream {
		res, err := c.client.Models.GenerateContent(c.t.Context(), "m", c.contents, c.config)
		if err != nil {
			return h, err
		}
		add(res)
	} else {
		for res, err := range c.client.Models.GenerateContentStream(c.t.Context(), "m", c.contents, c.config) {
			if err != nil {
				return h, err
			}
			add(res)
		}
	}
	c.contents = append(c.contents, kept)
	return h, nil
}

func (c *geminiClient) answer(stream bool, calls []fakemodel.Call) (heard, error) {
	content := &genai.Content{Role: genai.RoleUser}
	for _, call := range calls {
		content.Parts = append(content.Parts, &genai.Part{FunctionResponse: &genai.FunctionResponse{ID: call.ID, Name: call.Name, Response: map[string]any{"output": results[call.Name]}}})
	}
	c.contents = append(c.contents, content)
	return c.ask(stream)
}

func (c *geminiClient) form() (heard, error) {
	c.config.Tools = nil
	c.config.ResponseMIMEType, c.config.ResponseJsonSchema = "application/json", json.RawMessage(formSchema)
	return c.ask(false)
}

func (c *geminiClient) leave() error {
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	for res, err := range c.client.Models.GenerateContentStream(ctx, "m", c.contents, c.config) {
		if err != nil {
			return err
		}
		if res.Text() != "" {
			return nil
		}
	}
	return errors.New("no text came")
}

func (c *geminiClient) status(err error) (int, string) {
	var failed genai.APIError
	if !errors.As(err, &failed) {
		return 0, ""
	}
	return failed.Code, failed.Message
}

func (c *geminiClient) finishes() [2]string { return [2]string{"STOP", "STOP"} }
