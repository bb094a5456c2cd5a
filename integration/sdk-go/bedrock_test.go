package sdk

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/smithy-go/auth/bearer"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"github.com/caddy-llm/gateway/integration/fakemodel"
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

// awsStream has the events of a stream of Anthropic's in frames.
func awsStream(events string, more ...string) fakeprovider.Reply {
	reply := fakeprovider.Reply{Header: http.Header{"Content-Type": {"application/vnd.amazon.eventstream"}, "X-Amzn-Bedrock-Content-Type": {"application/json"}}}
	for _, e := range fakeprovider.Events([]byte(events)) {
		_, data, _ := strings.Cut(string(e.Raw), "data: ")
		reply.Steps = append(reply.Steps, fakeprovider.Send(fakemodel.Frame("event", "chunk", `{"bytes":"`+base64.StdEncoding.EncodeToString([]byte(strings.TrimSpace(data)))+`","p":"abc"}`)))
	}
	for _, frame := range more {
		reply.Steps = append(reply.Steps, fakeprovider.Send(frame))
	}
	return reply
}

// TestBedrockFrames holds that the frames are what AWS's own reader takes.
func TestBedrockFrames(t *testing.T) {
	s := fakeprovider.New(t)
	s.Script(fakeprovider.Always(awsStream(messageStream, fakemodel.Frame("exception", "throttlingException", `{"message":"Too many requests"}`))))
	client := bedrockruntime.New(bedrockruntime.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String(s.URL()), HTTPClient: s.Client(),
		BearerAuthTokenProvider: bearer.StaticTokenProvider{Token: bearer.Token{Value: sdkKey}}, AuthSchemePreference: []string{"httpBearerAuth"},
	})
	res, err := client.InvokeModelWithResponseStream(t.Context(), &bedrockruntime.InvokeModelWithResponseStreamInput{ModelId: aws.String("m"), Body: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	stream, events := res.GetStream(), 0
	for event := range stream.Events() {
		if chunk, ok := event.(*types.ResponseStreamMemberChunk); !ok || !json.Valid(chunk.Value.Bytes) {
			t.Errorf("%T %v", event, event)
		}
		events++
	}
	var throttled *types.ThrottlingException
	if want := len(fakeprovider.Events([]byte(messageStream))); events != want || !errors.As(stream.Err(), &throttled) {
		t.Errorf("%d events, want %d, and %v", events, want, stream.Err())
	}
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
	s.Script(fakeprovider.Always(awsStream(strings.SplitAfter(messageStream, "\n\n")[0], fakemodel.Frame("exception", "throttlingException", `{"message":"Too many requests"}`))))
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

	// Embeddings, whose tokens are counted in a header.
	counted := fakeprovider.JSON(200, `{"embeddings":{"float":[[0.5,1],[2,-1]]},"response_type":"embeddings_by_type"}`)
	counted.Header.Set("X-Amzn-Bedrock-Input-Token-Count", "7")
	s.Script(fakeprovider.Always(counted))
	vectors, err := client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{Model: "cohere.embed-v4:0", Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"潮水", "b"}}, Dimensions: openai.Int(256)})
	if err != nil || len(vectors.Data) != 2 || fmt.Sprint(vectors.Data[1].Embedding) != "[2 -1]" || vectors.Usage.PromptTokens != 7 {
		t.Errorf("%+v, %v", vectors, err)
	}
	check(t, "/model/cohere.embed-v4%3A0/invoke", `"output_dimension":256,"texts":["潮水","b"]`)
	s.Script(fakeprovider.Always(fakeprovider.JSON(400, `{"message":"Malformed input request."}`)))
	_, err = client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{Model: "amazon.titan-embed-text-v2:0", Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String("x")}})
	var refused *openai.Error
	if !errors.As(err, &refused) || refused.StatusCode != 400 || refused.Message != "Malformed input request." {
		t.Errorf("%v", err)
	}
	check(t, "/model/amazon.titan-embed-text-v2%3A0/invoke", `{"inputText":"x"}`)

	// The lists of models are those of the control plane, which is here the same host.
	s.Script(func(_ int, r *fakeprovider.Recorded) fakeprovider.Reply {
		if strings.HasPrefix(r.Target, "/foundation-models?") {
			return fakeprovider.JSON(200, `{"modelSummaries":[{"modelArn":"a","modelId":"amazon.nova-3:0","modelName":"Nova 3"}]}`)
		}
		return fakeprovider.JSON(200, `{"inferenceProfileSummaries":[{"inferenceProfileId":"`+model+`","inferenceProfileName":"EU","type":"SYSTEM_DEFINED","status":"ACTIVE"}]}`)
	})
	page, err := client.Models.List(t.Context())
	if err != nil || len(page.Data) != 2 || page.Data[0].ID != "amazon.nova-3:0" || page.Data[1].ID != model {
		t.Errorf("%+v, %v", page, err)
	}
	list, err := claude.Models.List(t.Context(), anthropic.ModelListParams{})
	if err != nil || len(list.Data) != 2 || list.Data[1].DisplayName != "EU" {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestBedrockCompatible holds that clients of OpenAI's APIs pass where an api line says so,
// signed as all others.
func TestBedrockCompatible(t *testing.T) {
	s := fakeprovider.New(t)
	g := serve(t, strings.Replace(bedrockProvider, "region eu-central-1\n", "region eu-central-1\n\t\t\tapi chat\n\t\t\tapi responses /v1/responses\n", 1), map[string]any{"Main": s.URL(), "CA": s.CAFile()},
		gateway.Env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), gateway.Env("AWS_SECRET_ACCESS_KEY", "secret-of-aws-51d2"), gateway.Env("AWS_CONFIG_FILE", "/nonexistent"))
	client := openai.NewClient(option.WithBaseURL(g.URL+"/v1"), option.WithAPIKey(sdkKey), option.WithMaxRetries(0), option.WithRequestTimeout(2*patience))
	s.Script(fakeprovider.Always(fakeprovider.Chat("m", "At six.", fakeprovider.Usage{Prompt: 9, Completion: 3})))
	got, err := client.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{Model: "openai.gpt-oss-120b", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("潮水")}})
	if err != nil || got.Choices[0].Message.Content != "At six." || got.Usage.PromptTokens != 9 {
		t.Errorf("%+v, %v", got, err)
	}
	if r := s.Last(); r.Target != "/openai/v1/chat/completions" || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ") || strings.Contains(fmt.Sprint(r.Header), sdkKey) {
		t.Errorf("%s with %v", r.Target, r.Header)
	}
	s.Script(fakeprovider.Always(fakeprovider.JSON(200, `{"id":"resp_1","object":"response","status":"completed","model":"m","output":[{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"At six.","annotations":[]}]}],"usage":{"input_tokens":9,"output_tokens":3,"total_tokens":12}}`)))
	answer, err := client.Responses.New(t.Context(), responses.ResponseNewParams{Model: "openai.gpt-oss-120b", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("潮水")}})
	if err != nil || answer.OutputText() != "At six." || s.Last().Target != "/v1/responses" {
		t.Errorf("%+v, %v, %s", answer, err, s.Last().Target)
	}
}
