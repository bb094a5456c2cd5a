package agents_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// chatRequest is what a provider of chat completions reads of a request.
type chatRequest struct {
	Model    string
	Stream   bool
	Messages []chatMessage
	Tools    []chatTool
}

type chatTool struct {
	Type     string
	Function struct {
		Name       string
		Parameters json.RawMessage
	}
}

type chatMessage struct {
	Role       string
	Content    json.RawMessage
	ToolCalls  []chatCall `json:"tool_calls"`
	ToolCallID string     `json:"tool_call_id"`
}

type chatCall struct {
	ID       string
	Type     string
	Function struct{ Name, Arguments string }
}

func (r *chatRequest) hasTool(name string) bool {
	return slices.ContainsFunc(r.Tools, func(tool chatTool) bool { return tool.Function.Name == name })
}

// problem is why a real provider would reject the request, empty if it would not.
func (r *chatRequest) problem() string {
	if r.Model == "" || len(r.Messages) == 0 {
		return "no model or no messages"
	}
	open := map[string]bool{}
	for i, m := range r.Messages {
		if m.Role != "tool" && len(open) > 0 {
			return fmt.Sprintf("messages[%d]: calls without results: %v", i, open)
		}
		switch m.Role {
		case "system", "user", "developer":
			if len(m.Content) == 0 || string(m.Content) == "null" || string(m.Content) == `""` || string(m.Content) == "[]" {
				return fmt.Sprintf("messages[%d] is empty", i)
			}
		case "assistant":
			for _, call := range m.ToolCalls {
				if call.ID == "" || call.Type != "function" || call.Function.Name == "" || !json.Valid([]byte(call.Function.Arguments)) {
					return fmt.Sprintf("messages[%d]: call %+v", i, call)
				}
				open[call.ID] = true
			}
		case "tool":
			if !open[m.ToolCallID] {
				return fmt.Sprintf("messages[%d]: result of no call %q", i, m.ToolCallID)
			}
			delete(open, m.ToolCallID)
		default:
			return fmt.Sprintf("messages[%d]: role %q", i, m.Role)
		}
	}
	for _, tool := range r.Tools {
		if tool.Type != "function" || tool.Function.Name == "" || (len(tool.Function.Parameters) > 0 && tool.Function.Parameters[0] != '{') {
			return fmt.Sprintf("tool %+v", tool)
		}
	}
	return ""
}

// model scripts a model that calls the tool once for each of the arguments, and then
// gives its verdict. Requests without the tool, which agents make for titles and the
// like, get a word.
func (b *bench) model(tool string, arguments []string) {
	var calls []chatCall
	for i, a := range arguments {
		call := chatCall{ID: fmt.Sprintf("call_Vb5nT2xKqL8wRz0pJ%d", i), Type: "function"}
		call.Function.Name, call.Function.Arguments = tool, a
		calls = append(calls, call)
	}
	b.provider.Script(func(_ int, r *fakeprovider.Recorded) fakeprovider.Reply {
		var request chatRequest
		if err := json.Unmarshal(r.Body, &request); err != nil || r.Path != "/v1/chat/completions" {
			b.t.Errorf("the provider was asked %s %s: %v %s", r.Method, r.Path, err, r.Body)
			return fakeprovider.JSON(400, `{"error":{"message":"not understood","type":"invalid_request_error"}}`)
		}
		if problem := request.problem(); problem != "" {
			b.t.Errorf("%s: %s", problem, r.Body)
			return fakeprovider.JSON(400, `{"error":{"message":"`+quoted(problem)+`","type":"invalid_request_error"}}`)
		}
		if strings.Contains(fmt.Sprint(r.Target, r.Header, string(r.Body)), agentKey) || r.Header.Get("Authorization") != "Bearer "+providerKey {
			b.t.Errorf("keys: %s %v", r.Target, r.Header)
		}
		switch {
		case !request.hasTool(tool):
			return reply(request.Stream, "Ferry", nil)
		case slices.ContainsFunc(request.Messages, func(m chatMessage) bool { return len(m.ToolCalls) > 0 }):
			return reply(request.Stream, verdict, nil)
		}
		return reply(request.Stream, "I read the notes first.", calls)
	})
}

func quoted(s string) string {
	q, _ := json.Marshal(s) // a string always encodes
	return string(q[1 : len(q)-1])
}

// reply is a chat completion in the shape of DeepSeek's and vLLM's: reasoning first,
// then text, then the calls, their arguments in pieces.
func reply(stream bool, text string, calls []chatCall) fakeprovider.Reply {
	const reasoning = "The notes say when."
	const usage = `{"prompt_tokens":812,"completion_tokens":41,"total_tokens":853,"prompt_tokens_details":{"cached_tokens":512},"completion_tokens_details":{"reasoning_tokens":7}}`
	const head = `"id":"chatcmpl-7f1c","created":1764300000,"model":"qwen-3-coder"`
	finish := "stop"
	if len(calls) > 0 {
		finish = "tool_calls"
	}
	begin := func(i int, arguments string) string {
		return fmt.Sprintf(`{"index":%d,"id":"%s","type":"function","function":{"name":"%s","arguments":"%s"}}`, i, calls[i].ID, calls[i].Function.Name, quoted(arguments))
	}
	if !stream {
		var all []string
		for i, call := range calls {
			all = append(all, begin(i, call.Function.Arguments))
		}
		return fakeprovider.JSON(200, fmt.Sprintf(`{%s,"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"%s","reasoning_content":"%s","tool_calls":[%s]},"finish_reason":"%s"}],"usage":%s}`,
			head, quoted(text), reasoning, strings.Join(all, ","), finish, usage))
	}
	var events []string
	chunk := func(delta, finish string) {
		events = append(events, fmt.Sprintf("data: {%s,\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{%s},\"finish_reason\":%s}]}\n\n", head, delta, finish))
	}
	chunk(`"role":"assistant","content":""`, "null")
	for word := range strings.SplitAfterSeq(reasoning, " ") {
		chunk(`"reasoning_content":"`+word+`"`, "null")
	}
	for word := range strings.SplitAfterSeq(text, " ") {
		chunk(`"content":"`+quoted(word)+`"`, "null")
	}
	for i, call := range calls {
		chunk(`"tool_calls":[`+begin(i, "")+`]`, "null")
		half := len(call.Function.Arguments) / 2
		for _, piece := range []string{call.Function.Arguments[:half], call.Function.Arguments[half:]} {
			chunk(fmt.Sprintf(`"tool_calls":[{"index":%d,"function":{"arguments":"%s"}}]`, i, quoted(piece)), "null")
		}
	}
	chunk("", `"`+finish+`"`)
	events = append(events, fmt.Sprintf("data: {%s,\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":%s}\n\n", head, usage), "data: [DONE]\n\n")
	return fakeprovider.SSE(events...)
}

// textOf is the text of a message's content, which is a string or has parts.
func textOf(content json.RawMessage) string {
	var text string
	if json.Unmarshal(content, &text) == nil {
		return text
	}
	var parts []struct{ Text string }
	_ = json.Unmarshal(content, &parts) // the caller misses the text
	for _, part := range parts {
		text += part.Text
	}
	return text
}
