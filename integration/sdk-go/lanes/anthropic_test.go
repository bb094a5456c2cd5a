package lanes_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/anthropics/anthropic-sdk-go/packages/param"

	"github.com/caddy-llm/gateway/integration/fakemodel"
)

// messagesClient speaks Anthropic's Messages API.
type messagesClient struct {
	t      *testing.T
	client anthropic.Client
	params anthropic.MessageNewParams
}

func newMessages(t *testing.T, url string) conversation {
	schema := func(text string) anthropic.ToolInputSchemaParam {
		return param.Override[anthropic.ToolInputSchemaParam](json.RawMessage(text))
	}
	return &messagesClient{
		t:      t,
		client: anthropic.NewClient(option.WithBaseURL(url), option.WithAPIKey(sdkKey), option.WithMaxRetries(0), option.WithRequestTimeout(patience)),
		params: anthropic.MessageNewParams{
			Model: "m", MaxTokens: 4000, Thinking: anthropic.ThinkingConfigParamOfEnabled(2000),
			System:   []anthropic.TextBlockParam{{Text: system}},
			Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(question), anthropic.NewImageBlockBase64("image/png", picture))},
			Tools: []anthropic.ToolUnionParam{
				{OfTool: &anthropic.ToolParam{Name: "get_tide", InputSchema: schema(tideSchema)}},
				{OfTool: &anthropic.ToolParam{Name: "get_wind", InputSchema: schema(windSchema)}},
			},
		},
	}
}

func (c *messagesClient) ask(stream bool) (h heard, err error) {
	var m *anthropic.Message
	if !stream {
		if m, err = c.client.Messages.New(c.t.Context(), c.params); err != nil {
			return h, err
		}
	} else {
		m = new(anthropic.Message)
		events := c.client.Messages.NewStreaming(c.t.Context(), c.params)
		stopped := false
		for events.Next() {
			if err := m.Accumulate(events.Current()); err != nil || stopped {
				c.t.Errorf("%v: %s", err, events.Current().RawJSON())
			}
			stopped = events.Current().Type == "message_stop"
		}
		if err := events.Err(); err != nil {
			return h, err
		}
		if !stopped {
			return h, errors.New("the stream ended without message_stop")
		}
	}
	u := m.Usage
	h = heard{finish: string(m.StopReason), prompt: u.InputTokens + u.CacheReadInputTokens + u.CacheCreationInputTokens, cached: u.CacheReadInputTokens, completion: u.OutputTokens}
	for _, block := range m.Content {
		switch block.Type {
		case "text":
			h.text += block.Text
		case "thinking":
			h.reasoning += block.Thinking
		case "tool_use":
			h.calls = append(h.calls, fakemodel.Call{ID: block.ID, Name: block.Name, Arguments: string(block.Input)})
		}
	}
	c.params.Messages = append(c.params.Messages, m.ToParam())
	return h, nil
}

func (c *messagesClient) answer(stream bool, calls []fakemodel.Call) (heard, error) {
	var blocks []anthropic.ContentBlockParamUnion
	for _, call := range calls {
		blocks = append(blocks, anthropic.NewToolResultBlock(call.ID, results[call.Name], false))
	}
	c.params.Messages = append(c.params.Messages, anthropic.NewUserMessage(blocks...))
	return c.ask(stream)
}

func (c *messagesClient) form() (heard, error) {
	c.params.Tools = nil
	c.params.OutputConfig = anthropic.OutputConfigParam{Format: anthropic.JSONOutputFormatParam{Schema: parameters(formSchema)}}
	return c.ask(false)
}

func (c *messagesClient) leave() error {
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	events := c.client.Messages.NewStreaming(ctx, c.params)
	for events.Next() {
		if events.Current().Delta.Text != "" {
			return nil
		}
	}
	return errors.Join(errors.New("no text came"), events.Err())
}

func (c *messagesClient) status(err error) (int, string) {
	var failed *anthropic.Error
	if !errors.As(err, &failed) {
		return 0, ""
	}
	return failed.StatusCode, failed.RawJSON()
}

func (c *messagesClient) finishes() [2]string { return [2]string{"tool_use", "end_turn"} }
