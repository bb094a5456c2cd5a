package sdk

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

const bedrockProvider = `{
	llm {
		status_listen off
		provider aws {{.Main}} {
			kind bedrock
			region eu-central-1
			tls_trust_pool file {{.CA}}
		}
	}
}

http://:{{.Port}} {
	llm_route {
		rule all {
			to aws
		}
	}
}
`

// awsFrame writes a message of Amazon's event stream as its documentation has it:
// https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html.
func awsFrame(kind, name, payload string) string {
	header := func(name, value string) string {
		return string(rune(len(name))) + name + "\x07" + string([]byte{byte(len(value) >> 8), byte(len(value))}) + value
	}
	headers := header(":message-type", kind) + header(":"+kind+"-type", name)
	out := binary.BigEndian.AppendUint32(nil, uint32(16+len(headers)+len(payload)))
	out = binary.BigEndian.AppendUint32(out, uint32(len(headers)))
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out))
	out = append(out, headers+payload...)
	return string(binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out)))
}

// awsStream has the events of a stream of Anthropic's in frames.
func awsStream(events string, more ...string) fakeprovider.Reply {
	reply := fakeprovider.Reply{Header: http.Header{"Content-Type": {"application/vnd.amazon.eventstream"}, "X-Amzn-Bedrock-Content-Type": {"application/json"}}}
	for _, e := range fakeprovider.Events([]byte(events)) {
		_, data, _ := strings.Cut(string(e.Raw), "data: ")
		reply.Steps = append(reply.Steps, fakeprovider.Send(awsFrame("event", "chunk", `{"bytes":"`+base64.StdEncoding.EncodeToString([]byte(strings.TrimSpace(data)))+`","p":"abc"}`)))
	}
	for _, frame := range more {
		reply.Steps = append(reply.Steps, fakeprovider.Send(frame))
	}
	return reply
}

func TestBedrock(t *testing.T) {
	const id, secret = "AKIDEXAMPLE", "secret-of-aws-51d2"
	s := fakeprovider.New(t)
	g := serve(t, bedrockProvider, map[string]any{"Main": s.URL(), "CA": s.CAFile()},
		gateway.Env("AWS_ACCESS_KEY_ID", id), gateway.Env("AWS_SECRET_ACCESS_KEY", secret), gateway.Env("AWS_SESSION_TOKEN", "session-1"), gateway.Env("AWS_CONFIG_FILE", "/nonexistent"))
	const model = "eu.anthropic.claude-sonnet-5-v1:0"
	const path = "/model/eu.anthropic.claude-sonnet-5-v1%3A0/"
	check := func(t *testing.T, target, body string) {
		t.Helper()
		r := s.Last()
		if r.Target != target || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="+id+"/") || !strings.Contains(r.Header.Get("Authorization"), "/eu-central-1/bedrock/aws4_request") ||
			r.Header.Get("X-Amz-Security-Token") != "session-1" {
			t.Errorf("%s with %v", r.Target, r.Header)
		}
		if strings.Contains(fmt.Sprint(r.Header, r.Target), sdkKey) || strings.Contains(fmt.Sprint(r.Header), secret) {
			t.Errorf("a key is in %v", r.Header)
		}
		if !json.Valid(r.Body) || !strings.Contains(string(r.Body), body) {
			t.Errorf("the body is %s", r.Body)
		}
	}
	const version = `"anthropic_version":"bedrock-2023-05-31"`
	claude := anthropic.NewClient(anthropicoption.WithBaseURL(g.URL), anthropicoption.WithAPIKey(sdkKey), anthropicoption.WithMaxRetries(0), anthropicoption.WithRequestTimeout(2*patience))

	s.Script(fakeprovider.Always(fakeprovider.JSON(200, message)))
	got, err := claude.Messages.New(t.Context(), tideQuestion(model))
	if err != nil || got.RawJSON() != message {
		t.Errorf("%v, %v", got, err)
	}
	check(t, path+"invoke", version)

	s.Script(fakeprovider.Always(awsStream(messageStream)))
	stream := claude.Messages.NewStreaming(t.Context(), tideQuestion(model))
	var whole anthropic.Message
	for stream.Next() {
		if err := whole.Accumulate(stream.Current()); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Err(); err != nil || len(whole.Content) != 2 || whole.Content[0].Text != "At six 潮水." || string(whole.Content[1].Input) != `{"at":12345678901234567890}` || whole.Usage.OutputTokens != 31 {
		t.Errorf("%+v, %v", whole, err)
	}
	check(t, path+"invoke-with-response-stream", version)
	if strings.Contains(string(s.Last().Body), `"stream"`) || strings.Contains(string(s.Last().Body), `"model"`) {
		t.Errorf("the body is %s", s.Last().Body)
	}

	// An exception in the stream, and an error of AWS's, are errors of the SDK's API.
	s.Script(fakeprovider.Always(awsStream(strings.SplitAfter(messageStream, "\n\n")[0], awsFrame("exception", "throttlingException", `{"message":"Too many requests"}`))))
	stream = claude.Messages.NewStreaming(t.Context(), tideQuestion(model))
	for stream.Next() {
	}
	if err := stream.Err(); err == nil || !strings.Contains(err.Error(), "Too many requests") {
		t.Errorf("%v", err)
	}
	s.Script(fakeprovider.Always(fakeprovider.JSON(400, `{"message":"The provided model identifier is invalid."}`)))
	_, err = claude.Messages.New(t.Context(), tideQuestion(model))
	var failed *anthropic.Error
	if !errors.As(err, &failed) || failed.StatusCode != 400 || !strings.Contains(failed.RawJSON(), "invalid_request_error") || !strings.Contains(failed.RawJSON(), "model identifier is invalid") {
		t.Errorf("%v", err)
	}

	// OpenAI's SDK, to Anthropic's model and to another one.
	client := openai.NewClient(option.WithBaseURL(g.URL+"/v1"), option.WithAPIKey(sdkKey), option.WithMaxRetries(0), option.WithRequestTimeout(2*patience))
	params := openai.ChatCompletionNewParams{Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("潮水")}}
	s.Script(fakeprovider.Always(awsStream(messageStream)))
	chunks := client.Chat.Completions.NewStreaming(t.Context(), params)
	var sum openai.ChatCompletionAccumulator
	for chunks.Next() {
		sum.AddChunk(chunks.Current())
	}
	if err := chunks.Err(); err != nil || sum.Choices[0].Message.Content != "At six 潮水." || len(sum.Choices[0].Message.ToolCalls) != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
	check(t, path+"invoke-with-response-stream", version)
	s.Script(fakeprovider.Always(fakeprovider.JSON(200, `{"output":{"message":{"role":"assistant","content":[{"text":"At six."}]}},"stopReason":"end_turn","usage":{"inputTokens":9,"outputTokens":3,"totalTokens":12},"metrics":{"latencyMs":5}}`)))
	params.Model = "amazon.nova-3:0"
	plain, err := client.Chat.Completions.New(t.Context(), params)
	if err != nil || plain.Choices[0].Message.Content != "At six." || plain.Usage.PromptTokens != 9 {
		t.Errorf("%+v, %v", plain, err)
	}
	check(t, "/model/amazon.nova-3%3A0/converse", "潮水")
}
