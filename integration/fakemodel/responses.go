package fakemodel

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// responsesReply is in the shape of https://platform.openai.com/docs/api-reference/responses
// and, streamed, of https://platform.openai.com/docs/api-reference/responses-streaming.
func responsesReply(stream bool, t Turn) fakeprovider.Reply {
	const usage = `{"input_tokens":100,"input_tokens_details":{"cached_tokens":64},"output_tokens":20,"output_tokens_details":{"reasoning_tokens":7},"total_tokens":120}`
	response := func(status string, output []string, usage string) string {
		return fmt.Sprintf(`{"id":"resp_68af","object":"response","created_at":1764300000,"status":"%s","error":null,"incomplete_details":null,"instructions":null,"metadata":{},"model":"gpt-x","output":[%s],`+
			`"parallel_tool_calls":true,"temperature":1.0,"tool_choice":"auto","tools":[],"top_p":1.0,"store":false,"usage":%s}`, status, strings.Join(output, ","), usage)
	}
	var events, items []string
	send := func(name, format string, args ...any) {
		events = append(events, fmt.Sprintf("event: response.%s\ndata: {\"type\":\"response.%s\",\"sequence_number\":%d,%s}\n\n", name, name, len(events), fmt.Sprintf(format, args...)))
	}
	send("created", `"response":%s`, response("in_progress", nil, "null"))
	send("in_progress", `"response":%s`, response("in_progress", nil, "null"))
	// item has what comes between the beginning and the end of an item.
	item := func(begin, end string, body func(at string)) {
		at := fmt.Sprintf(`"output_index":%d`, len(items))
		send("output_item.added", `%s,"item":%s`, at, begin)
		body(at)
		send("output_item.done", `%s,"item":%s`, at, end)
		items = append(items, end)
	}
	if t.Reasoning != "" {
		const id = `"item_id":"rs_68af"`
		summary := fmt.Sprintf(`{"type":"summary_text","text":"%s"}`, quoted(t.Reasoning))
		item(`{"id":"rs_68af","type":"reasoning","summary":[]}`, `{"id":"rs_68af","type":"reasoning","summary":[`+summary+`],"encrypted_content":"`+State+`"}`, func(at string) {
			send("reasoning_summary_part.added", `%s,%s,"summary_index":0,"part":{"type":"summary_text","text":""}`, id, at)
			for _, piece := range halves(t.Reasoning) {
				send("reasoning_summary_text.delta", `%s,%s,"summary_index":0,"delta":"%s"`, id, at, quoted(piece))
			}
			send("reasoning_summary_text.done", `%s,%s,"summary_index":0,"text":"%s"`, id, at, quoted(t.Reasoning))
			send("reasoning_summary_part.done", `%s,%s,"summary_index":0,"part":%s`, id, at, summary)
		})
	}
	if t.Text != "" {
		const id = `"item_id":"msg_68af"`
		part := fmt.Sprintf(`{"type":"output_text","text":"%s","annotations":[],"logprobs":[]}`, quoted(t.Text))
		item(`{"id":"msg_68af","type":"message","status":"in_progress","role":"assistant","content":[]}`, `{"id":"msg_68af","type":"message","status":"completed","role":"assistant","content":[`+part+`]}`, func(at string) {
			send("content_part.added", `%s,%s,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}`, id, at)
			for _, piece := range halves(t.Text) {
				send("output_text.delta", `%s,%s,"content_index":0,"delta":"%s","logprobs":[]`, id, at, quoted(piece))
			}
			send("output_text.done", `%s,%s,"content_index":0,"text":"%s","logprobs":[]`, id, at, quoted(t.Text))
			send("content_part.done", `%s,%s,"content_index":0,"part":%s`, id, at, part)
		})
	}
	for i, c := range t.Calls {
		call := func(status, arguments string) string {
			return fmt.Sprintf(`{"id":"fc_68af%d","type":"function_call","status":"%s","call_id":"%s","name":"%s","arguments":"%s"}`, i, status, c.ID, c.Name, quoted(arguments))
		}
		item(call("in_progress", ""), call("completed", c.Arguments), func(at string) {
			for _, piece := range halves(c.Arguments) {
				send("function_call_arguments.delta", `"item_id":"fc_68af%d",%s,"delta":"%s"`, i, at, quoted(piece))
			}
			send("function_call_arguments.done", `"item_id":"fc_68af%d",%s,"arguments":"%s"`, i, at, quoted(c.Arguments))
		})
	}
	whole := response("completed", items, usage)
	if !stream {
		return fakeprovider.JSON(200, whole)
	}
	send("completed", `"response":%s`, whole)
	return fakeprovider.SSE(events...)
}

func readResponses(r *fakeprovider.Recorded, q *Request) error {
	var body struct {
		Model        string
		Stream       bool
		Store        *bool
		Instructions string
		Input        json.RawMessage
		Tools        []struct {
			Type, Name string
			Parameters json.RawMessage
		}
		Text struct {
			Format struct{ Schema json.RawMessage }
		}
	}
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return err
	}
	var items []struct {
		Type, Role string
		Content    json.RawMessage
		Encrypted  string `json:"encrypted_content"`
		Summary    []any
		CallID     string `json:"call_id"`
		Name       string
		Arguments  string
		Output     json.RawMessage
	}
	if err := json.Unmarshal(body.Input, &items); err != nil && texts(body.Input) != "" {
		q.User = texts(body.Input)
	} else if err != nil || len(items) == 0 {
		return fmt.Errorf("no input: %w", err)
	}
	if !strings.HasSuffix(r.Path, "/responses") || body.Model == "" {
		return errors.New("no request for a response")
	}
	q.Stream, q.System, q.Format = body.Stream, body.Instructions, body.Text.Format.Schema
	for _, tool := range body.Tools {
		if tool.Type != "function" || tool.Name == "" || len(tool.Parameters) == 0 {
			return fmt.Errorf("the tool %+v", tool)
		}
		q.Tools[tool.Name] = tool.Parameters
	}
	calls := open{}
	for i, item := range items {
		var err error
		switch {
		case item.Type == "reasoning" && item.Summary != nil:
			if item.Encrypted != "" {
				q.States = append(q.States, item.Encrypted)
			}
		case item.Type == "function_call":
			err = calls.call(q, Call{item.CallID, item.Name, item.Arguments})
		case item.Type == "function_call_output":
			err = calls.result(q, item.CallID, texts(item.Output))
		case item.Type != "" && item.Type != "message":
			err = fmt.Errorf("an item %s", item.Type)
		case item.Role == "system" || item.Role == "developer":
			q.System += texts(item.Content)
		case item.Role == "user":
			q.User += texts(item.Content)
			var parts []struct {
				ImageURL string `json:"image_url"`
			}
			_ = json.Unmarshal(item.Content, &parts) // a text has none
			for _, p := range parts {
				if p.ImageURL != "" {
					q.Images = append(q.Images, p.ImageURL[strings.IndexByte(p.ImageURL, ',')+1:])
				}
			}
		case item.Role != "assistant":
			err = fmt.Errorf("role %q", item.Role)
		}
		if err != nil {
			return fmt.Errorf("input[%d]: %w", i, err)
		}
	}
	if len(calls) > 0 {
		return fmt.Errorf("calls without results: %v", calls)
	}
	return nil
}
