package lanes_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"

	"github.com/caddy-llm/gateway/integration/fakemodel"
)

func openAI(url string) openai.Client {
	return openai.NewClient(option.WithBaseURL(url+"/v1"), option.WithAPIKey(sdkKey), option.WithMaxRetries(0), option.WithRequestTimeout(patience))
}

func openAIStatus(err error) (int, string) {
	var failed *openai.Error
	if !errors.As(err, &failed) {
		return 0, ""
	}
	return failed.StatusCode, failed.Message
}

// parameters are a schema as the SDK takes it.
func parameters(schema string) map[string]any {
	var out map[string]any
	if err := json.Unmarshal([]byte(schema), &out); err != nil {
		panic(err)
	}
	return out
}

// chatClient speaks chat completions. What reasoning there is stands in members that
// gateways have, which a program that keeps whole messages sends back.
type chatClient struct {
	t      *testing.T
	client openai.Client
	params openai.ChatCompletionNewParams
}

func newChat(t *testing.T, url string) conversation {
	return &chatClient{t: t, client: openAI(url), params: openai.ChatCompletionNewParams{
		Model: "m", ReasoningEffort: openai.ReasoningEffortHigh,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.SystemMessage(system), openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
			openai.TextContentPart(question), openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: "data:image/png;base64," + picture}),
		})},
		Tools: []openai.ChatCompletionToolUnionParam{
			openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: "get_tide", Parameters: parameters(tideSchema)}),
			openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: "get_wind", Parameters: parameters(windSchema)}),
		},
	}}
}

// reasoningOf is what a message or a delta has of reasoning.
type reasoningOf struct {
	Content string            `json:"reasoning_content"`
	Blocks  []json.RawMessage `json:"thinking_blocks"`
	Calls   []struct {
		Index int
		Extra json.RawMessage `json:"extra_content"`
	} `json:"tool_calls"`
}

func (c *chatClient) ask(stream bool) (h heard, err error) {
	if !stream {
		res, err := c.client.Chat.Completions.New(c.t.Context(), c.params)
		if err != nil {
			return h, err
		}
		message := res.Choices[0].Message
		c.params.Messages = append(c.params.Messages, param.Override[openai.ChatCompletionMessageParamUnion](json.RawMessage(message.RawJSON())))
		var r reasoningOf
		_ = json.Unmarshal([]byte(message.RawJSON()), &r)
		return chatHeard(message, r, res.Choices[0].FinishReason, res.Usage), nil
	}
	params := c.params
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	events := c.client.Chat.Completions.NewStreaming(c.t.Context(), params)
	var whole openai.ChatCompletionAccumulator
	var all reasoningOf
	extras := make(map[int]json.RawMessage)
	for events.Next() {
		chunk := events.Current()
		if !whole.AddChunk(chunk) {
			c.t.Errorf("unfitting chunk %s", chunk.RawJSON())
		}
		if len(chunk.Choices) > 0 {
			var r reasoningOf
			_ = json.Unmarshal([]byte(chunk.Choices[0].Delta.RawJSON()), &r)
			all.Content += r.Content
			all.Blocks = append(all.Blocks, r.Blocks...)
			for _, call := range r.Calls {
				if call.Extra != nil {
					extras[call.Index] = call.Extra
				}
			}
		}
	}
	if err := events.Err(); err != nil {
		return h, err
	}
	message := whole.Choices[0].Message
	var kept map[string]any
	data, _ := json.Marshal(message.ToParam())
	_ = json.Unmarshal(data, &kept)
	kept["reasoning_content"], kept["thinking_blocks"] = all.Content, all.Blocks
	for i, extra := range extras {
		kept["tool_calls"].([]any)[i].(map[string]any)["extra_content"] = extra
	}
	data, _ = json.Marshal(kept)
	c.params.Messages = append(c.params.Messages, param.Override[openai.ChatCompletionMessageParamUnion](json.RawMessage(data)))
	return chatHeard(message, all, whole.Choices[0].FinishReason, whole.Usage), nil
}

func chatHeard(message openai.ChatCompletionMessage, r reasoningOf, finish string, usage openai.CompletionUsage) heard {
	h := heard{text: message.Content, reasoning: r.Content, finish: finish, prompt: usage.PromptTokens, cached: usage.PromptTokensDetails.CachedTokens, completion: usage.CompletionTokens}
	for _, call := range message.ToolCalls {
		h.calls = append(h.calls, fakemodel.Call{ID: call.ID, Name: call.Function.Name, Arguments: call.Function.Arguments})
	}
	return h
}

func (c *chatClient) answer(stream bool, calls []fakemodel.Call) (heard, error) {
	for _, call := range calls {
		c.params.Messages = append(c.params.Messages, openai.ToolMessage(results[call.Name], call.ID))
	}
	return c.ask(stream)
}

func (c *chatClient) form() (heard, error) {
	c.params.Tools = nil
	c.params.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "form", Schema: parameters(formSchema), Strict: openai.Bool(true)}}
	return c.ask(false)
}

func (c *chatClient) leave() error {
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	events := c.client.Chat.Completions.NewStreaming(ctx, c.params)
	for events.Next() {
		if chunk := events.Current(); len(chunk.Choices) > 0 && chunk.Choices[0].Delta.Content != "" {
			return nil
		}
	}
	return errors.Join(errors.New("no text came"), events.Err())
}

func (c *chatClient) status(err error) (int, string) { return openAIStatus(err) }
func (c *chatClient) finishes() [2]string            { return [2]string{"tool_calls", "stop"} }

// responsesClient speaks the Responses API, and keeps its items itself.
type responsesClient struct {
	t      *testing.T
	client openai.Client
	params responses.ResponseNewParams
}

func newResponses(t *testing.T, url string) conversation {
	return &responsesClient{t: t, client: openAI(url), params: responses.ResponseNewParams{
		Model: "m", Instructions: openai.String(system), Store: openai.Bool(false), Include: []responses.ResponseIncludable{"reasoning.encrypted_content"},
		Reasoning: shared.ReasoningParam{Effort: "high", Summary: "auto"},
		Input: responses.ResponseNewParamsInputUnion{OfInputItemList: responses.ResponseInputParam{
			param.Override[responses.ResponseInputItemUnionParam](json.RawMessage(`{"role":"user","content":[{"type":"input_text","text":` + jsonText(question) + `},{"type":"input_image","detail":"auto","image_url":"data:image/png;base64,` + picture + `"}]}`)),
		}},
		Tools: []responses.ToolUnionParam{
			{OfFunction: &responses.FunctionToolParam{Name: "get_tide", Parameters: parameters(tideSchema), Strict: openai.Bool(false)}},
			{OfFunction: &responses.FunctionToolParam{Name: "get_wind", Parameters: parameters(windSchema), Strict: openai.Bool(false)}},
		},
	}}
}

func jsonText(s string) string {
	data, _ := json.Marshal(s) // a string always marshals
	return string(data)
}

func (c *responsesClient) ask(stream bool) (h heard, err error) {
	var res *responses.Response
	if !stream {
		if res, err = c.client.Responses.New(c.t.Context(), c.params); err != nil {
			return h, err
		}
	} else {
		events := c.client.Responses.NewStreaming(c.t.Context(), c.params)
		text, next := "", int64(0)
		for events.Next() {
			e := events.Current()
			if e.SequenceNumber != next {
				c.t.Errorf("event %d, want %d: %s", e.SequenceNumber, next, e.RawJSON())
			}
			next++
			switch e := e.AsAny().(type) {
			case responses.ResponseTextDeltaEvent:
				text += e.Delta
			case responses.ResponseCompletedEvent:
				res = &e.Response
			}
		}
		if err := events.Err(); err != nil {
			return h, err
		}
		if res == nil || res.OutputText() != text {
			return h, errors.New("the stream ended without the text that it had")
		}
	}
	h = heard{text: res.OutputText(), finish: string(res.Status), prompt: res.Usage.InputTokens, cached: res.Usage.InputTokensDetails.CachedTokens, completion: res.Usage.OutputTokens}
	for _, item := range res.Output {
		switch item.Type {
		case "reasoning":
			for _, part := range item.Summary {
				h.reasoning += part.Text
			}
			for _, part := range item.AsReasoning().Content {
				h.reasoning += part.Text
			}
		case "function_call":
			call := item.AsFunctionCall()
			h.calls = append(h.calls, fakemodel.Call{ID: call.CallID, Name: call.Name, Arguments: call.Arguments})
		}
		c.params.Input.OfInputItemList = append(c.params.Input.OfInputItemList, param.Override[responses.ResponseInputItemUnionParam](json.RawMessage(item.RawJSON())))
	}
	return h, nil
}

func (c *responsesClient) answer(stream bool, calls []fakemodel.Call) (heard, error) {
	for _, call := range calls {
		c.params.Input.OfInputItemList = append(c.params.Input.OfInputItemList, param.Override[responses.ResponseInputItemUnionParam](json.RawMessage(`{"type":"function_call_output","call_id":`+jsonText(call.ID)+`,"output":`+jsonText(results[call.Name])+`}`)))
	}
	return c.ask(stream)
}

func (c *responsesClient) form() (heard, error) {
	c.params.Tools = nil
	c.params.Text = responses.ResponseTextConfigParam{Format: responses.ResponseFormatTextConfigParamOfJSONSchema("form", parameters(formSchema))}
	return c.ask(false)
}

func (c *responsesClient) leave() error {
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	events := c.client.Responses.NewStreaming(ctx, c.params)
	for events.Next() {
		if events.Current().Type == "response.output_text.delta" {
			return nil
		}
	}
	return errors.Join(errors.New("no text came"), events.Err())
}

func (c *responsesClient) status(err error) (int, string) { return openAIStatus(err) }
func (c *responsesClient) finishes() [2]string            { return [2]string{"completed", "completed"} }
