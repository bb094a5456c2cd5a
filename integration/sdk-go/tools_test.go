package sdk

import (
	"encoding/json"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/shared"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/fixtures"
)

// withTools is a question for a model that may call two functions.
func withTools() openai.ChatCompletionNewParams {
	params := question("gpt-4o")
	for name, argument := range map[string]string{"get_tide": "harbour", "get_wind": "station"} {
		params.Tools = append(params.Tools, openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
			Name: name,
			Parameters: shared.FunctionParameters{
				"type":       "object",
				"properties": map[string]any{argument: map[string]string{"type": "string"}},
				"required":   []string{argument},
			},
		}))
	}
	return params
}

// A whole round: the model calls a function, the SDK sends its result back, the
// model answers.
func TestToolCall(t *testing.T) {
	s, g := serveOne(t)
	client := g.client()
	answer := fixtures.Get(t, "openai/chat.json")
	s.Script(fakeprovider.Sequence(fixtures.Get(t, "openai/tools.json").Reply(), answer.Reply()))

	params := withTools()
	first, err := client.Chat.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	choice := first.Choices[0]
	if choice.FinishReason != "tool_calls" || len(choice.Message.ToolCalls) != 1 {
		t.Fatalf("%s", first.RawJSON())
	}
	call := choice.Message.ToolCalls[0]
	var arguments struct{ Harbour, Unit string }
	if err := json.Unmarshal([]byte(call.Function.Arguments), &arguments); err != nil || call.Function.Name != "get_tide" || arguments.Harbour != "Cuxhaven" {
		t.Errorf("%s(%s): %v", call.Function.Name, call.Function.Arguments, err)
	}
	if tools, _ := s.Last().JSON()["tools"].([]any); len(tools) != 2 {
		t.Errorf("the provider got %s", s.Last().Body)
	}

	params.Messages = append(params.Messages, choice.Message.ToParam(), openai.ToolMessage(`{"metres":3.2}`, call.ID))
	second, err := client.Chat.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	if second.Choices[0].Message.Content != answer.Want.Content {
		t.Errorf("%s", second.RawJSON())
	}
	messages, _ := s.Last().JSON()["messages"].([]any)
	if len(messages) != 4 || messages[3].(map[string]any)["tool_call_id"] != call.ID {
		t.Errorf("the provider got %s", s.Last().Body)
	}
}

// Calls that come in fragments are put together as they are without a gateway.
func TestToolCallStream(t *testing.T) {
	s, g := serveOne(t)
	client := g.client()
	for _, c := range []struct {
		id    string
		calls map[string]string // arguments by name
	}{
		{"openai/tools.sse", map[string]string{"get_tide": `{"harbour":"Cuxhaven"}`, "get_wind": `{"station":"Elbe 1"}`}},
		{"dashscope/tools.sse", nil},
		{"mistral/tools.sse", nil},
		{"quirks/usage-in-tool-args.sse", nil},
	} {
		t.Run(c.id, func(t *testing.T) {
			f := fixtures.Get(t, c.id)
			for _, pieces := range []int{0, 7} { // events whole, and cut anywhere
				reply := f.Reply()
				if pieces > 0 {
					reply = reply.InPieces(pieces, 0)
				}
				s.Script(fakeprovider.Always(reply))
				got := accumulate(t, client, f)
				want := accumulate(t, direct(s), f)
				if len(got) == 0 || len(got) != len(want) {
					t.Fatalf("%d calls, want %d", len(got), len(want))
				}
				for i := range got {
					if got[i].ID != want[i].ID || got[i].Function.Name != want[i].Function.Name || got[i].Function.Arguments != want[i].Function.Arguments {
						t.Errorf("call %+v, want %+v", got[i], want[i])
					}
					if arguments, ok := c.calls[got[i].Function.Name]; c.calls != nil && (!ok || got[i].Function.Arguments != arguments) {
						t.Errorf("call %s(%s)", got[i].Function.Name, got[i].Function.Arguments)
					}
				}
			}
		})
	}
}

func accumulate(t *testing.T, client *openai.Client, f fixtures.Fixture) []openai.ChatCompletionMessageToolCallUnion {
	t.Helper()
	stream := client.Chat.Completions.NewStreaming(t.Context(), withTools())
	defer stream.Close()
	var whole openai.ChatCompletionAccumulator
	for stream.Next() {
		if !whole.AddChunk(stream.Current()) {
			t.Errorf("a chunk that does not fit: %s", stream.Current().RawJSON())
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	if len(whole.Choices) == 0 || whole.Choices[0].FinishReason != f.Want.FinishReason {
		t.Fatalf("%s", whole.RawJSON())
	}
	return whole.Choices[0].Message.ToolCalls
}
