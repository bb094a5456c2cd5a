package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// anthropicProviders has each way in which a provider's Anthropic API is reached without
// a translation.
const anthropicProviders = `{
	llm {
		status_listen off
		provider claude {{.Main}}/v1/messages {
			kind anthropic
			api_key {env.MAIN_KEY}
			tls_trust_pool file {{.CA}}
		}
		provider both {{.Main}}/v1/chat/completions {
			api messages /anthropic/v1/messages
			api_key {env.OTHER_KEY}
			tls_trust_pool file {{.CA}}
		}
	}
}

http://:{{.Port}} {
	llm_route {
		rule both {
			match llm_model both-*
			to both
		}
		rule claude {
			to claude
		}
	}
}
`

// A message and a stream in the documented shapes.
const (
	message = `{"id":"msg_013","type":"message","role":"assistant","model":"claude-sonnet-5","content":[{"type":"thinking","thinking":"Tides.","signature":"c2ln"},{"type":"text","text":"At six."}],` +
		`"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":300,"cache_read_input_tokens":1000,"output_tokens":15}}`
	messageStream = `event: message_start
data: {"type":"message_start","message":{"id":"msg_014","type":"message","role":"assistant","model":"claude-sonnet-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":0,"cache_read_input_tokens":1000,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"At "}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"six 潮水."}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"tide","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"at\":12345678901234567890}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":25,"cache_creation_input_tokens":0,"cache_read_input_tokens":1000,"output_tokens":31}}

event: message_stop
data: {"type":"message_stop"}

`
)

func serveAnthropic(t *testing.T) (*fakeprovider.Server, *anthropic.Client) {
	s := fakeprovider.New(t)
	g := serve(t, anthropicProviders, map[string]any{"Main": s.URL(), "CA": s.CAFile()})
	client := anthropic.NewClient(option.WithBaseURL(g.URL), option.WithAPIKey(sdkKey), option.WithMaxRetries(0), option.WithRequestTimeout(2*patience))
	return s, &client
}

func tideQuestion(model string) anthropic.MessageNewParams {
	return anthropic.MessageNewParams{
		Model: model, MaxTokens: 100,
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("When does it turn? 潮水 <&>"))},
	}
}

// checkAnthropic holds where a request went, with which key, and that its body is the
// SDK's.
func checkAnthropic(t *testing.T, r *fakeprovider.Recorded, path, header, key string) {
	t.Helper()
	if r.Path != path || r.Header.Get(header) != key || r.Header.Get("Anthropic-Version") != "2023-06-01" {
		t.Errorf("%s with %v", r.Path, r.Header)
	}
	for name, values := range r.Header {
		if strings.Contains(strings.Join(values, " "), sdkKey) {
			t.Errorf("the provider got the client's key in %s", name)
		}
	}
	if !json.Valid(r.Body) || !strings.Contains(string(r.Body), "潮水") {
		t.Errorf("the body is %s", r.Body)
	}
}

func TestAnthropicMessages(t *testing.T) {
	s, client := serveAnthropic(t)
	s.Script(fakeprovider.Always(fakeprovider.JSON(200, message)))
	for model, want := range map[string][3]string{
		"claude-sonnet-5": {"/v1/messages", "X-Api-Key", providerKey},
		"both-1":          {"/anthropic/v1/messages", "Authorization", "Bearer " + otherKey},
	} {
		got, err := client.Messages.New(t.Context(), tideQuestion(model))
		if err != nil {
			t.Fatal(err)
		}
		if got.RawJSON() != message || got.Content[0].Signature != "c2ln" || got.Content[1].Text != "At six." || got.Usage.CacheReadInputTokens != 1000 {
			t.Errorf("%s", got.RawJSON())
		}
		checkAnthropic(t, s.Last(), want[0], want[1], want[2])
	}

	s.Script(fakeprovider.Always(fakeprovider.JSON(200, `{"input_tokens":14}`)))
	count, err := client.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{Model: "claude-sonnet-5", Messages: tideQuestion("").Messages})
	if err != nil || count.InputTokens != 14 {
		t.Errorf("%+v, %v", count, err)
	}
	checkAnthropic(t, s.Last(), "/v1/messages/count_tokens", "X-Api-Key", providerKey)
}

func TestAnthropicStream(t *testing.T) {
	s, client := serveAnthropic(t)
	s.Script(fakeprovider.Always(fakeprovider.Stream([]byte(messageStream))))
	for _, model := range []string{"claude-sonnet-5", "both-1"} {
		stream := client.Messages.NewStreaming(t.Context(), tideQuestion(model))
		var whole anthropic.Message
		events := 0
		for stream.Next() {
			events++
			if err := whole.Accumulate(stream.Current()); err != nil {
				t.Fatal(err)
			}
		}
		if err := stream.Err(); err != nil {
			t.Fatal(err)
		}
		if len(whole.Content) != 2 || whole.Content[0].Text != "At six 潮水." || string(whole.Content[1].Input) != `{"at":12345678901234567890}` || whole.StopReason != "tool_use" || whole.Usage.OutputTokens != 31 {
			t.Errorf("%d events: %+v", events, whole)
		}
	}
}

// TestAnthropicErrors holds that the SDK sees its API's errors, the provider's and the
// gateway's own.
func TestAnthropicErrors(t *testing.T) {
	s, client := serveAnthropic(t)
	const overloaded = `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}`
	ask := func(t *testing.T) *anthropic.Error {
		t.Helper()
		_, err := client.Messages.New(t.Context(), tideQuestion("claude-sonnet-5"))
		var failed *anthropic.Error
		if !errors.As(err, &failed) {
			t.Fatalf("the error is %v", err)
		}
		return failed
	}
	s.Script(fakeprovider.Always(fakeprovider.JSON(529, overloaded)))
	if failed := ask(t); failed.StatusCode != 529 || failed.RawJSON() != overloaded {
		t.Errorf("%d %s", failed.StatusCode, failed.RawJSON())
	}
	s.Script(fakeprovider.Always(fakeprovider.JSON(200, message).CloseBeforeHead()))
	failed := ask(t)
	var own struct {
		Type  string
		Error struct{ Type, Message string }
	}
	if err := json.Unmarshal([]byte(failed.RawJSON()), &own); err != nil || failed.StatusCode != http.StatusBadGateway || own.Type != "error" || own.Error.Type != "api_error" {
		t.Errorf("%d %s", failed.StatusCode, failed.RawJSON())
	}

	// A stream that breaks off, and one that ends with an error, are errors.
	for name, reply := range map[string]fakeprovider.Reply{
		"broken":     fakeprovider.Stream([]byte(messageStream)).ResetAfter(4),
		"overloaded": fakeprovider.SSE(strings.SplitAfter(messageStream, "\n\n")[0], "event: error\ndata: "+overloaded+"\n\n"),
	} {
		t.Run(name, func(t *testing.T) {
			s.Script(fakeprovider.Always(reply))
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			stream := client.Messages.NewStreaming(ctx, tideQuestion("claude-sonnet-5"))
			for stream.Next() {
			}
			if err := stream.Err(); err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}
