package fakemodel

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

const (
	chatHead  = `"id":"chatcmpl-7f1c","created":1764300000,"model":"qwen-3"`
	chatUsage = `{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_tokens_details":{"cached_tokens":64},"completion_tokens_details":{"reasoning_tokens":7}}`
)

// chatReply is in the shape of DeepSeek's and vLLM's: reasoning first, then text, then the
// calls (https://platform.openai.com/docs/api-reference/chat).
func chatReply(stream bool, t Turn) fakeprovider.Reply {
	finish := "stop"
	if len(t.Calls) > 0 {
		finish = "tool_calls"
	}
	call := func(i int, arguments string) string {
		return fmt.Sprintf(`{"index":%d,"id":"%s","type":"function","function":{"name":"%s","arguments":"%s"}}`, i, t.Calls[i].ID, t.Calls[i].Name, quoted(arguments))
	}
	if !stream {
		message := fmt.Sprintf(`"role":"assistant","content":"%s"`, quoted(t.Text))
		if t.Reasoning != "" {
			message += fmt.Sprintf(`,"reasoning_content":"%s"`, quoted(t.Reasoning))
		}
		var calls []string
		for i := range t.Calls {
			calls = append(calls, call(i, t.Calls[i].Arguments))
		}
		if calls != nil {
			message += `,"tool_calls":[` + strings.Join(calls, ",") + "]"
		}
		return fakeprovider.JSON(200, fmt.Sprintf(`{%s,"object":"chat.completion","choices":[{"index":0,"message":{%s},"finish_reason":"%s"}],"usage":%s}`, chatHead, message, finish, chatUsage))
	}
	var events []string
	chunk := func(delta, finish string) {
		events = append(events, fmt.Sprintf("data: {%s,\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{%s},\"finish_reason\":%s}]}\n\n", chatHead, delta, finish))
	}
	chunk(`"role":"assistant","content":""`, "null")
	if t.Reasoning != "" {
		for _, piece := range halves(t.Reasoning) {
			chunk(`"reasoning_content":"`+quoted(piece)+`"`, "null")
		}
	}
	for _, piece := range halves(t.Text) {
		chunk(`"content":"`+quoted(piece)+`"`, "null")
	}
	for i := range t.Calls {
		chunk(`"tool_calls":[`+call(i, "")+`]`, "null")
		for _, piece := range halves(t.Calls[i].Arguments) {
			chunk(fmt.Sprintf(`"tool_calls":[{"index":%d,"function":{"arguments":"%s"}}]`, i, quoted(piece)), "null")
		}
	}
	chunk("", `"`+finish+`"`)
	return fakeprovider.SSE(append(events, fmt.Sprintf("data: {%s,\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":%s}\n\n", chatHead, chatUsage), "data: [DONE]\n\n")...)
}

func readChat(r *fakeprovider.Recorded, q *Request) error {
	var body struct {
		Model    string
		Stream   bool
		Messages []struct {
			Role       string
			Content    json.RawMessage
			ToolCallID string `json:"tool_call_id"`
			ToolCalls  []struct {
				ID, Type string
				Function struct{ Name, Arguments string }
			} `json:"tool_calls"`
		}
		Tools []struct {
			Type     string
			Function struct {
				Name       string
				Parameters json.RawMessage
			}
		}
		Format struct {
			JSONSchema struct{ Schema json.RawMessage } `json:"json_schema"`
		} `json:"response_format"`
	}
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return err
	}
	if !strings.HasSuffix(r.Path, "/chat/completions") || body.Model == "" || len(body.Messages) == 0 {
		return errors.New("no chat completion")
	}
	q.Stream, q.Format = body.Stream, body.Format.JSONSchema.Schema
	for _, tool := range body.Tools {
		if tool.Type != "function" || tool.Function.Name == "" {
			return fmt.Errorf("the tool %+v", tool)
		}
		q.Tools[tool.Function.Name] = tool.Function.Parameters
	}
	calls := open{}
	for i, m := range body.Messages {
		if m.Role != "tool" && len(calls) > 0 {
			return fmt.Errorf("messages[%d]: calls without results: %v", i, calls)
		}
		text := texts(m.Content)
		switch m.Role {
		case "system", "developer":
			q.System += text
		case "user":
			var parts []struct {
				ImageURL struct{ URL string } `json:"image_url"`
			}
			_ = json.Unmarshal(m.Content, &parts) // a text has none
			for _, p := range parts {
				if p.ImageURL.URL != "" {
					q.Images = append(q.Images, p.ImageURL.URL[strings.IndexByte(p.ImageURL.URL, ',')+1:])
				}
			}
			if text == "" {
				return fmt.Errorf("messages[%d] is empty", i)
			}
			q.User += text
		case "assistant":
			for _, c := range m.ToolCalls {
				if err := calls.call(q, Call{c.ID, c.Function.Name, c.Function.Arguments}); err != nil || c.Type != "function" {
					return fmt.Errorf("messages[%d]: %w", i, err)
				}
			}
		case "tool":
			if err := calls.result(q, m.ToolCallID, text); err != nil {
				return fmt.Errorf("messages[%d]: %w", i, err)
			}
		default:
			return fmt.Errorf("messages[%d]: role %q", i, m.Role)
		}
	}
	return nil
}
