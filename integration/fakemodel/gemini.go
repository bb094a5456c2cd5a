package fakemodel

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// geminiReply is in the shape of https://ai.google.dev/api/generate-content. Calls have no
// ids, as those of most models.
func geminiReply(stream bool, t Turn) fakeprovider.Reply {
	var parts []string
	for _, piece := range halves(t.Reasoning) {
		if piece != "" {
			parts = append(parts, fmt.Sprintf(`{"text":"%s","thought":true}`, quoted(piece)))
		}
	}
	for _, piece := range halves(t.Text) {
		if piece != "" {
			parts = append(parts, fmt.Sprintf(`{"text":"%s"}`, quoted(piece)))
		}
	}
	for i, c := range t.Calls {
		state := ""
		if i == 0 && t.Reasoning != "" {
			state = `,"thoughtSignature":"` + State + `"`
		}
		parts = append(parts, fmt.Sprintf(`{"functionCall":{"name":"%s","args":%s}%s}`, c.Name, c.Arguments, state))
	}
	const tail = `"usageMetadata":{"promptTokenCount":100,"cachedContentTokenCount":64,"candidatesTokenCount":13,"thoughtsTokenCount":7,"totalTokenCount":120},"modelVersion":"gemini-x","responseId":"r_1"`
	if !stream {
		return fakeprovider.JSON(200, `{"candidates":[{"content":{"role":"model","parts":[`+strings.Join(parts, ",")+`]},"finishReason":"STOP","index":0}],`+tail+`}`)
	}
	var events []string
	for _, p := range parts {
		events = append(events, `data: {"candidates":[{"content":{"role":"model","parts":[`+p+`]},"index":0}],"modelVersion":"gemini-x","responseId":"r_1"}`+"\r\n\r\n")
	}
	return fakeprovider.SSE(append(events, `data: {"candidates":[{"content":{"role":"model","parts":[{"text":""}]},"finishReason":"STOP","index":0}],`+tail+`}`+"\r\n\r\n")...)
}

func readGemini(r *fakeprovider.Recorded, q *Request) error {
	type part struct {
		Text         *string
		Thought      bool
		Signature    string `json:"thoughtSignature"`
		InlineData   struct{ MimeType, Data string }
		FunctionCall *struct {
			ID, Name string
			Args     json.RawMessage
		}
		FunctionResponse *struct {
			ID, Name string
			Response json.RawMessage
		}
	}
	type content struct {
		Role  string
		Parts []part
	}
	var body struct {
		Contents          []content
		SystemInstruction content
		Tools             []struct {
			FunctionDeclarations []struct {
				Name                 string
				Parameters           json.RawMessage
				ParametersJSONSchema json.RawMessage `json:"parametersJsonSchema"`
			}
		}
		GenerationConfig struct {
			ResponseJSONSchema json.RawMessage `json:"responseJsonSchema"`
			ResponseSchema     json.RawMessage
		}
	}
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return err
	}
	q.Stream = strings.HasSuffix(r.Path, ":streamGenerateContent")
	if !q.Stream && !strings.HasSuffix(r.Path, ":generateContent") || len(body.Contents) == 0 {
		return errors.New("no request for content")
	}
	q.Format = body.GenerationConfig.ResponseJSONSchema
	for _, p := range body.SystemInstruction.Parts {
		q.System += *p.Text
	}
	for _, tool := range body.Tools {
		for _, f := range tool.FunctionDeclarations {
			q.Tools[f.Name] = f.Parameters
			if f.ParametersJSONSchema != nil {
				q.Tools[f.Name] = f.ParametersJSONSchema
			}
		}
	}
	calls, names, role := open{}, map[string]string{}, ""
	for i, c := range body.Contents {
		if c.Role == role || c.Role != "user" && c.Role != "model" || len(c.Parts) == 0 {
			return fmt.Errorf("contents[%d]: role %q after %q", i, c.Role, role)
		}
		role = c.Role
		for n, p := range c.Parts {
			if p.Signature != "" {
				q.States = append(q.States, p.Signature)
			}
			switch {
			case p.FunctionCall != nil:
				id := p.FunctionCall.ID
				if id == "" {
					id = fmt.Sprintf("%d.%d", i, n)
				}
				names[id] = p.FunctionCall.Name
				args := string(p.FunctionCall.Args)
				if args == "" {
					args = "{}" // Google's SDK leaves it out
				}
				if err := calls.call(q, Call{id, p.FunctionCall.Name, args}); err != nil {
					return fmt.Errorf("contents[%d]: %w", i, err)
				}
			case p.FunctionResponse != nil:
				id := p.FunctionResponse.ID
				for other, name := range names { // by name where there is no id
					if id == "" && name == p.FunctionResponse.Name && calls[other] {
						id = other
					}
				}
				if err := calls.result(q, id, string(p.FunctionResponse.Response)); err != nil || names[id] != p.FunctionResponse.Name {
					return fmt.Errorf("contents[%d]: %w, of %q", i, err, p.FunctionResponse.Name)
				}
			case p.InlineData.Data != "":
				q.Images = append(q.Images, p.InlineData.Data)
			case p.Text != nil && c.Role == "user":
				q.User += *p.Text
			case p.Text == nil && c.Role == "user": // SDKs leave out the model's empty texts
				return fmt.Errorf("contents[%d]: an empty part", i)
			}
		}
		if c.Role == "user" && len(calls) > 0 {
			return fmt.Errorf("contents[%d]: calls without results: %v", i, calls)
		}
	}
	return nil
}
