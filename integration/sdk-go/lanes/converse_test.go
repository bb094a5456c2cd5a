package lanes_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/document"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/auth/bearer"
	awshttp "github.com/aws/smithy-go/transport/http"

	"github.com/caddy-llm/gateway/integration/fakemodel"
	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// TestConverse has the conversations with the provider itself, by AWS's SDK: what stands
// in for Bedrock in the lanes writes what AWS's own reader takes, down to the frames of
// the stream, and reads what AWS's own writer sends. Clients of the gateway do not speak
// Converse.
func TestConverse(t *testing.T) {
	s := fakeprovider.New(t)
	for _, stream := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "streamed"}[stream], func(t *testing.T) { converse(t, s, fakemodel.Converse, newConverse(t, s), stream) })
	}
	t.Run("structured", func(t *testing.T) { structured(t, s, fakemodel.Converse, newConverse(t, s)) })
	t.Run("errors", func(t *testing.T) { failures(t, s, fakemodel.Converse, "converse", newConverse(t, s)) })
	t.Run("abort", func(t *testing.T) { abort(t, s, fakemodel.Converse, newConverse(t, s)) })
	t.Run("exception in the stream", func(t *testing.T) {
		reply := fakemodel.Converse.Reply(true, fakemodel.Turn{Text: looking})
		reply.Steps = append(reply.Steps[:2], fakeprovider.Send(fakemodel.Frame("exception", "throttlingException", `{"message":"The tide is out."}`)))
		s.Script(fakeprovider.Always(reply))
		_, err := newConverse(t, s).ask(true)
		var throttled *types.ThrottlingException
		if !errors.As(err, &throttled) || throttled.ErrorMessage() != "The tide is out." {
			t.Errorf("%v", err)
		}
	})
}

// converseClient speaks Bedrock's Converse.
type converseClient struct {
	t      *testing.T
	client *bedrockruntime.Client
	params bedrockruntime.ConverseInput
}

func newConverse(t *testing.T, s *fakeprovider.Server) conversation {
	data, err := base64.StdEncoding.DecodeString(picture)
	if err != nil {
		t.Fatal(err)
	}
	tool := func(name, schema string) types.Tool {
		return &types.ToolMemberToolSpec{Value: types.ToolSpecification{Name: aws.String(name), InputSchema: &types.ToolInputSchemaMemberJson{Value: document.NewLazyDocument(parameters(schema))}}}
	}
	return &converseClient{
		t: t,
		client: bedrockruntime.New(bedrockruntime.Options{
			Region: "eu-central-1", BaseEndpoint: aws.String(s.URL()), HTTPClient: s.Client(), RetryMaxAttempts: 1,
			BearerAuthTokenProvider: bearer.StaticTokenProvider{Token: bearer.Token{Value: providerKey}}, AuthSchemePreference: []string{"httpBearerAuth"},
		}),
		params: bedrockruntime.ConverseInput{
			ModelId: aws.String("m"), System: []types.SystemContentBlock{&types.SystemContentBlockMemberText{Value: system}},
			Messages: []types.Message{{Role: types.ConversationRoleUser, Content: []types.ContentBlock{
				&types.ContentBlockMemberText{Value: question},
				&types.ContentBlockMemberImage{Value: types.ImageBlock{Format: types.ImageFormatPng, Source: &types.ImageSourceMemberBytes{Value: data}}},
			}}},
			ToolConfig: &types.ToolConfiguration{Tools: []types.Tool{tool("get_tide", tideSchema), tool("get_wind", windSchema)}},
		},
	}
}

func (c *converseClient) ask(stream bool) (h heard, err error) {
	message, usage := types.Message{Role: types.ConversationRoleAssistant}, new(types.TokenUsage)
	if stream {
		message.Content, h.finish, usage, err = c.read()
		if err != nil {
			return h, err
		}
	} else {
		res, err := c.client.Converse(c.t.Context(), &c.params)
		if err != nil {
			return h, err
		}
		message, usage, h.finish = res.Output.(*types.ConverseOutputMemberMessage).Value, res.Usage, string(res.StopReason)
	}
	h.cached = int64(aws.ToInt32(usage.CacheReadInputTokens))
	h.prompt = int64(aws.ToInt32(usage.InputTokens)+aws.ToInt32(usage.CacheWriteInputTokens)) + h.cached
	h.completion = int64(aws.ToInt32(usage.OutputTokens))
	for _, block := range message.Content {
		switch b := block.(type) {
		case *types.ContentBlockMemberText:
			h.text += b.Value
		case *types.ContentBlockMemberReasoningContent:
			h.reasoning += aws.ToString(b.Value.(*types.ReasoningContentBlockMemberReasoningText).Value.Text)
		case *types.ContentBlockMemberToolUse:
			data, err := b.Value.Input.MarshalSmithyDocument()
			if err != nil {
				return h, err
			}
			h.calls = append(h.calls, fakemodel.Call{ID: aws.ToString(b.Value.ToolUseId), Name: aws.ToString(b.Value.Name), Arguments: string(data)})
		}
	}
	c.params.Messages = append(c.params.Messages, message)
	return h, nil
}

// read reads a stream.
func (c *converseClient) read() (blocks []types.ContentBlock, finish string, usage *types.TokenUsage, err error) {
	stream, err := c.stream(c.t.Context())
	if err != nil {
		return nil, "", nil, err
	}
	defer stream.Close()
	var text, input string
	var thought types.ReasoningTextBlock
	var use *types.ToolUseBlock
	for event := range stream.Events() {
		switch e := event.(type) {
		case *types.ConverseStreamOutputMemberContentBlockStart:
			start := e.Value.Start.(*types.ContentBlockStartMemberToolUse).Value
			use = &types.ToolUseBlock{ToolUseId: start.ToolUseId, Name: start.Name}
		case *types.ConverseStreamOutputMemberContentBlockDelta:
			if int(aws.ToInt32(e.Value.ContentBlockIndex)) != len(blocks) {
				c.t.Errorf("block %d, want %d", aws.ToInt32(e.Value.ContentBlockIndex), len(blocks))
			}
			switch d := e.Value.Delta.(type) {
			case *types.ContentBlockDeltaMemberText:
				text += d.Value
			case *types.ContentBlockDeltaMemberToolUse:
				input += aws.ToString(d.Value.Input)
			case *types.ContentBlockDeltaMemberReasoningContent:
				switch r := d.Value.(type) {
				case *types.ReasoningContentBlockDeltaMemberText:
					thought.Text = aws.String(aws.ToString(thought.Text) + r.Value)
				case *types.ReasoningContentBlockDeltaMemberSignature:
					thought.Signature = aws.String(r.Value)
				}
			}
		case *types.ConverseStreamOutputMemberContentBlockStop:
			switch {
			case use != nil:
				var value any
				if err := json.Unmarshal([]byte(input), &value); err != nil {
					return nil, "", nil, err
				}
				use.Input = document.NewLazyDocument(value)
				blocks = append(blocks, &types.ContentBlockMemberToolUse{Value: *use})
			case thought.Text != nil:
				blocks = append(blocks, &types.ContentBlockMemberReasoningContent{Value: &types.ReasoningContentBlockMemberReasoningText{Value: thought}})
			default:
				blocks = append(blocks, &types.ContentBlockMemberText{Value: text})
			}
			text, input, thought, use = "", "", types.ReasoningTextBlock{}, nil
		case *types.ConverseStreamOutputMemberMessageStop:
			finish = string(e.Value.StopReason)
		case *types.ConverseStreamOutputMemberMetadata:
			usage = e.Value.Usage
		case *types.UnknownUnionMember:
			c.t.Errorf("an event %s that AWS's SDK does not know", e.Tag)
		}
	}
	if err := stream.Err(); err != nil {
		return nil, "", nil, err
	}
	if usage == nil {
		return nil, "", nil, errors.New("the stream ended without metadata")
	}
	return blocks, finish, usage, nil
}

func (c *converseClient) stream(ctx context.Context) (*bedrockruntime.ConverseStreamEventStream, error) {
	res, err := c.client.ConverseStream(ctx, &bedrockruntime.ConverseStreamInput{ModelId: c.params.ModelId, Messages: c.params.Messages, System: c.params.System, ToolConfig: c.params.ToolConfig})
	if err != nil {
		return nil, err
	}
	return res.GetStream(), nil
}

func (c *converseClient) answer(stream bool, calls []fakemodel.Call) (heard, error) {
	var blocks []types.ContentBlock
	for _, call := range calls {
		blocks = append(blocks, &types.ContentBlockMemberToolResult{Value: types.ToolResultBlock{
			ToolUseId: aws.String(call.ID), Content: []types.ToolResultContentBlock{&types.ToolResultContentBlockMemberText{Value: results[call.Name]}},
		}})
	}
	c.params.Messages = append(c.params.Messages, types.Message{Role: types.ConversationRoleUser, Content: blocks})
	return c.ask(stream)
}

func (c *converseClient) form() (heard, error) {
	c.params.ToolConfig = nil
	c.params.OutputConfig = &types.OutputConfig{TextFormat: &types.OutputFormat{
		Type: types.OutputFormatTypeJsonSchema, Structure: &types.OutputFormatStructureMemberJsonSchema{Value: types.JsonSchemaDefinition{Schema: aws.String(formSchema)}},
	}}
	return c.ask(false)
}

func (c *converseClient) leave() error {
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	stream, err := c.stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	for event := range stream.Events() {
		if e, ok := event.(*types.ConverseStreamOutputMemberContentBlockDelta); ok && e.Value.Delta.(*types.ContentBlockDeltaMemberText).Value != "" {
			return nil
		}
	}
	return errors.Join(errors.New("no text came"), stream.Err())
}

// status holds too that the SDK knows the error by its name.
func (c *converseClient) status(err error) (int, string) {
	var response *awshttp.ResponseError
	var failed smithy.APIError
	if !errors.As(err, &response) || !errors.As(err, &failed) {
		return 0, ""
	}
	if code := failed.ErrorCode(); code == "UnknownError" {
		c.t.Errorf("an error without a name: %v", err)
	}
	return response.HTTPStatusCode(), failed.ErrorMessage()
}

func (c *converseClient) finishes() [2]string { return [2]string{"tool_use", "end_turn"} }
