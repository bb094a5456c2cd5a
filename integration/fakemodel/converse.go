package fakemodel

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"strings"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// converseReply is in the shape of
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and
// API_runtime_ConverseStream.html.
func converseReply(stream bool, t Turn) fakeprovider.Reply {
	stop := "end_turn"
	if len(t.Calls) > 0 {
		stop = "tool_use"
	}
	const usage = `"usage":{"inputTokens":36,"outputTokens":20,"totalTokens":120,"cacheReadInputTokens":64,"cacheWriteInputTokens":0},"metrics":{"latencyMs":5}`
	if !stream {
		var blocks []string
		if t.Reasoning != "" {
			blocks = append(blocks, fmt.Sprintf(`{"reasoningContent":{"reasoningText":{"text":"%s","signature":"%s"}}}`, quoted(t.Reasoning), State))
		}
		if t.Text != "" {
			blocks = append(blocks, fmt.Sprintf(`{"text":"%s"}`, quoted(t.Text)))
		}
		for _, c := range t.Calls {
			blocks = append(blocks, fmt.Sprintf(`{"toolUse":{"toolUseId":"%s","name":"%s","input":%s}}`, c.ID, c.Name, c.Arguments))
		}
		return fakeprovider.JSON(200, fmt.Sprintf(`{"output":{"message":{"role":"assistant","content":[%s]}},"stopReason":"%s",%s}`, strings.Join(blocks, ","), stop, usage))
	}
	reply := fakeprovider.Reply{Header: http.Header{"Content-Type": {"application/vnd.amazon.eventstream"}}}
	send := func(name, format string, args ...any) {
		reply.Steps = append(reply.Steps, fakeprovider.Send(Frame("event", name, fmt.Sprintf(format, args...))))
	}
	send("messageStart", `{"role":"assistant","p":"abc"}`)
	index := 0
	block := func(deltas ...string) {
		for _, d := range deltas {
			send("contentBlockDelta", `{"contentBlockIndex":%d,"delta":%s,"p":"abcd"}`, index, d)
		}
		send("contentBlockStop", `{"contentBlockIndex":%d}`, index)
		index++
	}
	deltas := func(format, text string) (out []string) {
		for _, piece := range halves(text) {
			out = append(out, fmt.Sprintf(format, quoted(piece)))
		}
		return out
	}
	if t.Reasoning != "" {
		block(append(deltas(`{"reasoningContent":{"text":"%s"}}`, t.Reasoning), `{"reasoningContent":{"signature":"`+State+`"}}`)...)
	}
	if t.Text != "" {
		block(deltas(`{"text":"%s"}`, t.Text)...)
	}
	for _, c := range t.Calls {
		send("contentBlockStart", `{"contentBlockIndex":%d,"start":{"toolUse":{"toolUseId":"%s","name":"%s"}}}`, index, c.ID, c.Name)
		block(deltas(`{"toolUse":{"input":"%s"}}`, c.Arguments)...)
	}
	send("messageStop", `{"stopReason":"%s"}`, stop)
	send("metadata", "{%s}", usage)
	return reply
}

// Frame is a message of Amazon's event stream: kind is event or exception, name that of
// the event or of the exception
// (https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html).
func Frame(kind, name, payload string) string {
	header := func(key, value string) string {
		return string([]byte{byte(len(key))}) + key + string(binary.BigEndian.AppendUint16([]byte{7}, uint16(len(value)))) + value
	}
	headers := header(":message-type", kind) + header(":"+kind+"-type", name) + header(":content-type", "application/json")
	out := binary.BigEndian.AppendUint32(nil, uint32(16+len(headers)+len(payload)))
	out = binary.BigEndian.AppendUint32(out, uint32(len(headers)))
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out))
	out = append(out, headers+payload...)
	return string(binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out)))
}

func readConverse(r *fakeprovider.Recorded, q *Request) error {
	type block struct {
		Text  *string
		Image *struct {
			Format string
			Source struct{ Bytes string }
		}
		ToolUse *struct {
			ToolUseID, Name string
			Input           json.RawMessage
		}
		ToolResult *struct {
			ToolUseID string
			Content   []struct {
				Text string
				JSON json.RawMessage
			}
		}
		ReasoningContent *struct {
			ReasoningText struct{ Text, Signature string }
		}
	}
	var body struct {
		Messages []struct {
			Role    string
			Content []block
		}
		System     []struct{ Text string }
		ToolConfig struct {
			Tools []struct {
				ToolSpec struct {
					Name        string
					InputSchema struct{ JSON json.RawMessage }
				}
			}
		}
		OutputConfig struct {
			TextFormat struct {
				Structure struct {
					JSONSchema struct{ Schema string } `json:"jsonSchema"`
				}
			}
		}
	}
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return err
	}
	q.Stream = strings.HasSuffix(r.Path, "/converse-stream")
	if !q.Stream && !strings.HasSuffix(r.Path, "/converse") || len(body.Messages) == 0 || body.Messages[0].Role != "user" {
		return errors.New("no conversation")
	}
	if schema := body.OutputConfig.TextFormat.Structure.JSONSchema.Schema; schema != "" {
		q.Format = json.RawMessage(schema)
	}
	for _, s := range body.System {
		q.System += s.Text
	}
	for _, tool := range body.ToolConfig.Tools {
		q.Tools[tool.ToolSpec.Name] = tool.ToolSpec.InputSchema.JSON
	}
	calls, role := open{}, ""
	for i, m := range body.Messages {
		if m.Role == role || m.Role != "user" && m.Role != "assistant" || len(m.Content) == 0 {
			return fmt.Errorf("messages[%d]: role %q after %q", i, m.Role, role)
		}
		role = m.Role
		for _, b := range m.Content {
			var err error
			switch {
			case b.ToolUse != nil:
				err = calls.call(q, Call{b.ToolUse.ToolUseID, b.ToolUse.Name, string(b.ToolUse.Input)})
			case b.ToolResult != nil:
				text := ""
				for _, c := range b.ToolResult.Content {
					text += c.Text + string(c.JSON)
				}
				err = calls.result(q, b.ToolResult.ToolUseID, text)
			case b.ReasoningContent != nil:
				q.States = append(q.States, b.ReasoningContent.ReasoningText.Signature)
			case b.Image != nil:
				q.Images = append(q.Images, b.Image.Source.Bytes)
			case b.Text == nil || strings.TrimSpace(*b.Text) == "":
				err = errors.New("a block without a text")
			case m.Role == "user":
				q.User += *b.Text
			}
			if err != nil {
				return fmt.Errorf("messages[%d]: %w", i, err)
			}
		}
		if m.Role == "user" && len(calls) > 0 {
			return fmt.Errorf("messages[%d]: calls without results: %v", i, calls)
		}
	}
	if len(q.Calls) > 0 && len(q.Tools) == 0 {
		return errors.New("calls without a toolConfig")
	}
	return nil
}
