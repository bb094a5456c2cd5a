package fakemodel

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// messagesReply is in the shape of https://docs.anthropic.com/en/api/messages and
// https://docs.anthropic.com/en/docs/build-with-claude/streaming.
func messagesReply(stream bool, t Turn) fakeprovider.Reply {
	stop := "end_turn"
	if len(t.Calls) > 0 {
		stop = "tool_use"
	}
	const head = `"id":"msg_01Xf","type":"message","role":"assistant","model":"claude-x"`
	const usage = `"input_tokens":36,"cache_creation_input_tokens":0,"cache_read_input_tokens":64`
	if !stream {
		var blocks []string
		if t.Reasoning != "" {
			blocks = append(blocks, fmt.Sprintf(`{"type":"thinking","thinking":"%s","signature":"%s"}`, quoted(t.Reasoning), State))
		}
		if t.Text != "" {
			blocks = append(blocks, fmt.Sprintf(`{"type":"text","text":"%s"}`, quoted(t.Text)))
		}
		for _, c := range t.Calls {
			blocks = append(blocks, fmt.Sprintf(`{"type":"tool_use","id":"%s","name":"%s","input":%s}`, c.ID, c.Name, c.Arguments))
		}
		return fakeprovider.JSON(200, fmt.Sprintf(`{%s,"content":[%s],"stop_reason":"%s","stop_sequence":null,"usage":{%s,"output_tokens":20}}`, head, strings.Join(blocks, ","), stop, usage))
	}
	var events []string
	send := func(name, rest string) {
		events = append(events, fmt.Sprintf("event: %s\ndata: {\"type\":\"%s\"%s}\n\n", name, name, rest))
	}
	index := 0
	block := func(start string, deltas ...string) {
		send("content_block_start", fmt.Sprintf(`,"index":%d,"content_block":%s`, index, start))
		for _, d := range deltas {
			send("content_block_delta", fmt.Sprintf(`,"index":%d,"delta":%s`, index, d))
		}
		send("content_block_stop", fmt.Sprintf(`,"index":%d`, index))
		index++
	}
	deltas := func(format string, pieces []string, more ...string) []string {
		var out []string
		for _, p := range pieces {
			out = append(out, fmt.Sprintf(format, quoted(p)))
		}
		return append(out, more...)
	}
	send("message_start", `,"message":{`+head+`,"content":[],"stop_reason":null,"stop_sequence":null,"usage":{`+usage+`,"output_tokens":1}}`)
	send("ping", "")
	if t.Reasoning != "" {
		block(`{"type":"thinking","thinking":"","signature":""}`, deltas(`{"type":"thinking_delta","thinking":"%s"}`, halves(t.Reasoning), `{"type":"signature_delta","signature":"`+State+`"}`)...)
	}
	if t.Text != "" {
		block(`{"type":"text","text":""}`, deltas(`{"type":"text_delta","text":"%s"}`, halves(t.Text))...)
	}
	for _, c := range t.Calls {
		block(fmt.Sprintf(`{"type":"tool_use","id":"%s","name":"%s","input":{}}`, c.ID, c.Name), deltas(`{"type":"input_json_delta","partial_json":"%s"}`, halves(c.Arguments))...)
	}
	send("message_delta", `,"delta":{"stop_reason":"`+stop+`","stop_sequence":null},"usage":{`+usage+`,"output_tokens":20}`)
	send("message_stop", "")
	return fakeprovider.SSE(events...)
}

func readMessages(r *fakeprovider.Recorded, q *Request) error {
	type block struct {
		Type, Text, Thinking, Signature, Data string
		ID, Name                              string
		Input                                 json.RawMessage
		ToolUseID                             string `json:"tool_use_id"`
		Content                               json.RawMessage
		Source                                struct{ Type, Data string }
	}
	var body struct {
		Model     string
		MaxTokens int `json:"max_tokens"`
		Stream    bool
		System    json.RawMessage
		Messages  []struct {
			Role    string
			Content json.RawMessage
		}
		Tools []struct {
			Name   string
			Schema json.RawMessage `json:"input_schema"`
		}
		Output struct {
			Format struct{ Schema json.RawMessage }
		} `json:"output_config"`
	}
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return err
	}
	if !strings.HasSuffix(r.Path, "/messages") || body.Model == "" || body.MaxTokens < 1 || len(body.Messages) == 0 || body.Messages[0].Role != "user" {
		return errors.New("no message")
	}
	q.Stream, q.System, q.Format = body.Stream, texts(body.System), body.Output.Format.Schema
	for _, tool := range body.Tools {
		if tool.Name == "" || len(tool.Schema) == 0 {
			return fmt.Errorf("the tool %+v", tool)
		}
		q.Tools[tool.Name] = tool.Schema
	}
	calls := open{}
	for i, m := range body.Messages {
		var blocks []block
		var plain string
		if json.Unmarshal(m.Content, &plain) == nil {
			blocks = []block{{Type: "text", Text: plain}}
		} else if err := json.Unmarshal(m.Content, &blocks); err != nil || len(blocks) == 0 {
			return fmt.Errorf("messages[%d] has no blocks", i)
		}
		waits := len(calls) > 0
		for _, b := range blocks {
			var err error
			switch {
			case b.Type == "text" && b.Text == "":
				err = errors.New("an empty text")
			case b.Type == "text" && m.Role == "user":
				q.User += b.Text
			case b.Type == "text":
			case b.Type == "image" && m.Role == "user" && b.Source.Type == "base64":
				q.Images = append(q.Images, b.Source.Data)
			case b.Type == "thinking" && m.Role == "assistant" && b.Signature != "":
				q.States = append(q.States, b.Signature)
			case b.Type == "redacted_thinking" && m.Role == "assistant" && b.Data != State:
				q.States = append(q.States, b.Data)
			case b.Type == "tool_use" && m.Role == "assistant":
				err = calls.call(q, Call{b.ID, b.Name, string(b.Input)})
			case b.Type == "tool_result" && m.Role == "user":
				err = calls.result(q, b.ToolUseID, texts(b.Content))
			default:
				err = fmt.Errorf("a block %s of %s", b.Type, m.Role)
			}
			if err != nil {
				return fmt.Errorf("messages[%d]: %w", i, err)
			}
		}
		if waits && len(calls) > 0 {
			return fmt.Errorf("messages[%d]: calls without results: %v", i, calls)
		}
	}
	return nil
}
