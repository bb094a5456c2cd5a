package bedrock

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/internal/moduletest"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/tap"
)

const keyID, secretText = "AKIDEXAMPLE", "secret-never-shown"

func parse(t testing.TB, config string) *Provider {
	t.Helper()
	p := new(Provider)
	if err := json.Unmarshal([]byte(config), p); err != nil {
		t.Fatal(err)
	}
	return p
}

func provisioned(t testing.TB, config string) *Provider {
	t.Helper()
	p := parse(t, config)
	moduletest.Provision(t, p)
	return p
}

// withoutAccount keeps this machine's own credentials out of a test.
func withoutAccount(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_ENDPOINT_URL_STS",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent/config")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")
}

func staticAccount(t *testing.T) {
	t.Helper()
	withoutAccount(t)
	t.Setenv("AWS_ACCESS_KEY_ID", keyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secretText)
}

func attempt(t testing.TB, p *Provider, path, body string) (*llmprovider.Attempt, *llmprovider.Error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header = http.Header{
		"Content-Type": {"application/json"}, "Anthropic-Version": {"2023-06-01"}, "Anthropic-Beta": {"context-1m-2025-08-07, claude-code-20250219", "effort-2025-11-24"}, "Traceparent": {"00-1"},
		"X-Amz-Date": {"of-the-client"}, "X-Amz-Security-Token": {"of-the-client"}, "X-Amz-Content-Sha256": {"of-the-client"}, "X-Amzn-Bedrock-Trace": {"ENABLED"},
		"X-Team": {"a  b"}, "User-Agent": {"client"},
	}
	for _, name := range []string{"Authorization", "X-Api-Key"} {
		r.Header.Set(name, "of-the-client")
	}
	in, refused := llmprovider.NewInbound(r)
	if refused == nil {
		refused = in.Read(r, llmprovider.DefaultMaxBody)
	}
	if refused != nil {
		t.Fatal(refused)
	}
	return p.NewAttempt(t.Context(), in, llmprovider.Settings{})
}

const claude = "eu.anthropic.claude-sonnet-5-v1:0"

func TestWhereRequestsGo(t *testing.T) {
	t.Setenv("LLM_TEST_KEY", "bearer-key")
	const eu = `{"region":"eu-central-1","config":{"api_key":"{env.LLM_TEST_KEY}"}}`
	const root = "https://bedrock-runtime.eu-central-1.amazonaws.com/model/"
	const betas = `,"anthropic_beta":["context-1m-2025-08-07","effort-2025-11-24"]`
	const arn = "arn:aws:bedrock:eu-central-1:1:inference-profile/eu.anthropic.claude-x"
	for _, test := range []struct{ config, path, body, to, same string }{
		{eu, "/v1/messages", `{"model":"` + claude + `","max_tokens":9,"messages":[], "x":1e2}`, root + "eu.anthropic.claude-sonnet-5-v1%3A0/invoke", `{"anthropic_version":"bedrock-2023-05-31"` + betas + `,"max_tokens":9,"messages":[], "x":1e2}`},
		{eu, "/v1/messages", `{"stream":true, "messages":[],"model":"anthropic.claude-x"}`, root + "anthropic.claude-x/invoke-with-response-stream", `{ "messages":[],"anthropic_version":"bedrock-2023-05-31"` + betas + `}`},
		{eu, "/v1/messages", `{"model":"` + arn + `","messages":[],"stream":false}`, root + "arn%3Aaws%3Abedrock%3Aeu-central-1%3A1%3Ainference-profile%2Feu.anthropic.claude-x/invoke", `{"anthropic_version":"bedrock-2023-05-31"` + betas + `,"messages":[]}`},
		{eu, "/v1/chat/completions", `{"model":"` + claude + `","stream":true,"messages":[{"role":"user","content":"x"}]}`, root + "eu.anthropic.claude-sonnet-5-v1%3A0/invoke-with-response-stream", ""},
		{eu, "/v1/messages/count_tokens", `{"model":"` + claude + `","messages":[{"role":"user","content":"x"}]}`, root + "eu.anthropic.claude-sonnet-5-v1%3A0/count-tokens", ""},
		{eu, "/v1/messages", `{"model":"amazon.nova-3:0","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`, root + "amazon.nova-3%3A0/converse", ""},
		{eu, "/v1/chat/completions", `{"model":"meta.llama5","stream":true,"messages":[{"role":"user","content":"x"}]}`, root + "meta.llama5/converse-stream", ""},
		{eu, "/v1/embeddings", `{"model":"amazon.titan-embed-text-v2:0","input":"x"}`, root + "amazon.titan-embed-text-v2%3A0/invoke", `{"inputText":"x"}`},
		{eu, "/v1/embeddings", `{"model":"us.cohere.embed-v4:0","input":["x","y"],"dimensions":256}`, root + "us.cohere.embed-v4%3A0/invoke", `{"input_type":"search_document","embedding_types":["float"],"output_dimension":256,"texts":["x","y"]}`},
		{eu, "/v1beta/models/cohere.embed-english-v3:batchEmbedContents", `{"requests":[{"content":{"parts":[{"text":"x"}]}}]}`, root + "cohere.embed-english-v3/invoke", `{"input_type":"search_document","embedding_types":["float"],"texts":["x"]}`},
		{`{"region":"cn-north-1","config":{"api_key":"{env.LLM_TEST_KEY}","model":"anthropic.claude-x","stream":true}}`, "/v1/messages", `{"messages":[]}`, "https://bedrock-runtime.cn-north-1.amazonaws.com.cn/model/anthropic.claude-x/invoke-with-response-stream", `{"anthropic_version":"bedrock-2023-05-31"` + betas + `,"messages":[]}`},
		{`{"region":"eu-central-1","host":"b.example","scheme":"http","port":81,"path":"/base","config":{"api_key":"{env.LLM_TEST_KEY}"}}`, "/v1/messages", `{"model":"anthropic.claude-x","messages":[]}`, "http://b.example:81/base/model/anthropic.claude-x/invoke", `{"anthropic_version":"bedrock-2023-05-31"` + betas + `,"messages":[]}`},
	} {
		a, refused := attempt(t, provisioned(t, test.config), test.path, test.body)
		if refused != nil {
			t.Errorf("%s %s: %v", test.path, test.body, refused)
			continue
		}
		if got := a.Request.URL.String(); got != test.to {
			t.Errorf("%s goes to %s, want %s", test.path, got, test.to)
		}
		data, _ := io.ReadAll(a.Request.Body)
		if !json.Valid(data) || test.same != "" && string(data) != test.same {
			t.Errorf("%s: the body is %s, want %s", test.path, data, test.same)
		}
		h := a.Request.Header
		if h.Get("Authorization") != "Bearer bearer-key" || h["X-Api-Key"] != nil || h["X-Amz-Security-Token"] != nil {
			t.Errorf("%s: %v", test.path, h)
		}
		if strings.Contains(test.to, "/invoke") && strings.Contains(test.to, "claude") {
			stream := strings.Contains(test.to, "stream")
			if len(h["Anthropic-Version"])+len(h["Anthropic-Beta"]) > 0 || (h.Get("Accept") == mediaEvents) != stream || bytes.Contains(data, []byte(`"stream"`)) || bytes.Contains(data, []byte(`"model"`)) ||
				!bytes.Contains(data, []byte(`"anthropic_version":"bedrock-2023-05-31"`)) {
				t.Errorf("%s: %v %s", test.path, h, data)
			}
		}
	}
}

// TestSignature holds that what comes over the wire is signed, whatever is in the path,
// the body and the client's headers.
func TestSignature(t *testing.T) {
	staticAccount(t)
	for _, token := range []string{"", "session-never-shown"} {
		t.Setenv("AWS_SESSION_TOKEN", token)
		var problem error
		var got *http.Request
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got, problem = r, verify(r, body, keyID, secretText, "eu-central-1")
		}))
		t.Cleanup(server.Close)
		host, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
		p := provisioned(t, fmt.Sprintf(`{"region":"eu-central-1","host":%q,"port":%s,"scheme":"http"}`, host, port))
		if !p.UsesAmbient() || p.CredentialRef("") != "AWS's default credentials" {
			t.Error(p.CredentialRef(""))
		}
		for _, model := range []string{claude, "anthropic.claude-x", "arn:aws:bedrock:eu:1:x/eu.anthropic.y", "anthropic. ü%2F~*+&=?#'()", "meta.llama5:0"} {
			quoted, _ := json.Marshal(model)
			for _, body := range []string{`{"model":%s,"max_tokens":9,"messages":[{"role":"user","content":"潮水 <&>"}]}`, `{"stream":true,"model":%s,"max_tokens":9,"messages":[{"role":"user","content":"x"}]}`} {
				a, refused := attempt(t, p, "/v1/messages", fmt.Sprintf(body, quoted))
				if refused != nil {
					t.Fatal(refused, p.CheckCredentials())
				}
				res, err := p.RoundTrip(a.Request)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				if problem != nil {
					t.Errorf("%s: %v", model, problem)
				}
				if got.Header.Get("X-Amz-Security-Token") != token || got.Header.Get("X-Amz-Content-Sha256") != "" || got.Header.Get("X-Team") == "" {
					t.Errorf("%v", got.Header)
				}
			}
		}
		// The verifier sees what was changed on the way.
		a, _ := attempt(t, p, "/v1/messages", `{"model":"anthropic.claude-x","messages":[]}`)
		a.Request.URL.Path += "/x"
		if res, err := p.RoundTrip(a.Request); err != nil || problem == nil {
			t.Errorf("%v, %v", res, err)
		} else {
			_ = res.Body.Close()
		}
	}
}

// TestSignatureOfAServer holds that the name of a pool's server is signed as it is sent,
// with the port that a scheme implies.
func TestSignatureOfAServer(t *testing.T) {
	staticAccount(t)
	p := provisioned(t, `{"region":"eu-central-1"}`)
	for _, address := range []string{"a.example:443", "a.example:8443", "[2001:db8::1]:443"} {
		r := httptest.NewRequest(http.MethodPost, "/v1/messages", strings.NewReader(`{"model":"anthropic.claude-x","messages":[]}`))
		r.Header.Set("Content-Type", "application/json")
		in, refused := llmprovider.NewInbound(r)
		if refused == nil {
			refused = in.Read(r, llmprovider.DefaultMaxBody)
		}
		if refused != nil {
			t.Fatal(refused)
		}
		a, refused := p.NewAttempt(t.Context(), in, llmprovider.Settings{Address: address})
		if refused != nil {
			t.Fatal(refused)
		}
		body, _ := io.ReadAll(a.Request.Body)
		a.Request.RequestURI = a.Request.URL.RequestURI()
		if err := verify(a.Request, body, keyID, secretText, "eu-central-1"); err != nil || a.Request.URL.Host != address {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestModelLists holds where the lists are asked for, and that the requests are signed.
func TestModelLists(t *testing.T) {
	staticAccount(t)
	for config, root := range map[string]string{
		`{"region":"eu-central-1"}`:                                                                      "https://bedrock.eu-central-1.amazonaws.com",
		`{"region":"eu-central-1","path":"/base"}`:                                                       "https://bedrock.eu-central-1.amazonaws.com",
		`{"region":"us-east-1","host":"bedrock-runtime-fips.us-east-1.amazonaws.com"}`:                   "https://bedrock-fips.us-east-1.amazonaws.com",
		`{"region":"eu-central-1","host":"vpce-1.bedrock-runtime.eu-central-1.vpce.amazonaws.com"}`:      "https://bedrock.eu-central-1.amazonaws.com",
		`{"region":"cn-north-1"}`:                                                                        "https://bedrock.cn-north-1.amazonaws.com.cn",
		`{"region":"eu-central-1","host":"b.example","scheme":"http","port":81,"path":"/base/"}`:         "http://b.example:81/base",
		`{"region":"eu-central-1","host":"evil-amazonaws.com","scheme":"http","port":81,"path":"/base"}`: "http://evil-amazonaws.com:81/base",
	} {
		p := provisioned(t, config)
		lists, refused := p.ModelLists()
		if refused != nil || len(lists) != 2 || lists[0].String() != root+"/foundation-models?byInferenceType=ON_DEMAND" || lists[1].String() != root+"/inference-profiles?maxResults=1000" {
			t.Errorf("%s: %v, %v", config, lists, refused)
		}
		page := *lists[1]
		page.RawQuery = "maxResults=1000&nextToken=a%2Fb%3D%3D+c"
		for _, u := range append(lists, &page) {
			r, refused := p.ModelsRequest(t.Context(), u, []string{"loop"})
			if refused != nil {
				t.Fatal(refused)
			}
			r.RequestURI = r.URL.RequestURI()
			if err := verify(r, nil, keyID, secretText, p.Region); err != nil || r.Host != r.URL.Host {
				t.Errorf("%s: %v", u, err)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	for config, want := range map[string]string{
		`{}`:                         "region is required",
		`{"region":"evil.example/"}`: "region is not an AWS region",
		`{"region":"s3"}`:            "region is not an AWS region", // whose hosts are those of buckets
		`{"region":"s3-external-1"}`: "region is not an AWS region",
		`{"region":"eu-central-1","role_arn":"role"}`: "role_arn is not a role ARN",
	} {
		p := parse(t, config)
		ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
		if err := p.Provision(ctx); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", config, err, want)
		}
		_ = p.Cleanup()
		cancel()
	}
	t.Setenv("LLM_TEST_KEY", "k")
	p := provisioned(t, `{"region":"eu-central-1","config":{"api_key":"{env.LLM_TEST_KEY}"}}`)
	for body, want := range map[string]int{
		`{"messages":[]}`:              400,
		`{"model":"..","messages":[]}`: 400,
		`{"model":"anthropic.claude-x","messages":[],"anthropic_version":"x"}`: 400,
		`{"model":"anthropic.claude-x","messages":[],"anthropic_beta":[]}`:     400,
	} {
		if a, refused := attempt(t, p, "/v1/messages", body); refused == nil || refused.Status != want {
			t.Errorf("%s: %v, %+v", body, refused, a)
		}
	}
	if a, refused := attempt(t, p, "/v1/embeddings", `{"model":"amazon.titan","input":"x"}`); refused == nil || refused.Status != 404 {
		t.Errorf("%v, %+v", refused, a)
	}
}

// frame is a frame of Amazon's stream.
func frame(t testing.TB, kind, name, payload string) []byte {
	t.Helper()
	var out bytes.Buffer
	m := eventstream.Message{Payload: []byte(payload)}
	m.Headers.Set(":message-type", eventstream.StringValue(kind))
	m.Headers.Set(":"+kind+"-type", eventstream.StringValue(name))
	if err := eventstream.NewEncoder().Encode(&out, m); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func chunk(t testing.TB, event string) []byte {
	t.Helper()
	return frame(t, "event", "chunk", `{"bytes":"`+base64.StdEncoding.EncodeToString([]byte(event))+`","p":"abcdef"}`)
}

var events = []string{
	`{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"output_tokens":1}}}`,
	`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`,
	`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"At six 潮水.\n"}}`,
	`{"type":"content_block_stop","index":0}`,
	`{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}`,
	`{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":25}}`,
}

func stream(t testing.TB) (frames []byte, sse string) {
	t.Helper()
	for _, e := range events {
		frames = append(frames, chunk(t, e)...)
		name := strings.Split(e, `"`)[3]
		sse += "event: " + name + "\ndata: " + e + "\n\n"
	}
	return frames, sse
}

// read has a response read that comes in pieces of a size, for a client of an API.
func read(t testing.TB, path string, body []byte, size int) (string, llmprovider.Reader) {
	t.Helper()
	p := provisioned(t, `{"region":"eu-central-1","config":{"api_key":"{env.LLM_TEST_KEY}"}}`)
	a, refused := attempt(t, p, path, `{"model":"`+claude+`","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"x"}]}`)
	if refused != nil {
		t.Fatal(refused)
	}
	header := http.Header{"Content-Type": {mediaEvents}, "X-Amzn-Bedrock-Content-Type": {"application/json"}}
	r := tap.NewReader(a, &http.Response{StatusCode: 200, Header: header}, false)
	head := llmprovider.Head{Status: 200, Header: header}
	r.Head(&head)
	if !head.Stream || head.Header.Get("Content-Type") != "text/event-stream" || head.Header["X-Amzn-Bedrock-Content-Type"] != nil {
		t.Errorf("the head is %+v", head)
	}
	var out strings.Builder
	pass := func(p []byte) error { out.Write(p); return nil }
	for len(body) > 0 {
		n := min(size, len(body))
		if err := r.Write(body[:n], pass); err != nil {
			t.Fatal(err)
		}
		body = body[n:]
	}
	if err := r.Finish(pass); err != nil {
		t.Fatal(err)
	}
	return out.String(), r
}

func TestFrames(t *testing.T) {
	t.Setenv("LLM_TEST_KEY", "k")
	frames, sse := stream(t)
	const ping = `{"type":"ping"}`
	late, _ := read(t, "/v1/messages", slices.Concat(frames, chunk(t, ping)), 1<<20)
	if want := sse + "event: ping\ndata: " + ping + "\n\n"; late != want {
		t.Errorf("after the end: %q", late)
	}
	if _, r := read(t, "/v1/messages", slices.Concat(frames, chunk(t, ping)), 1<<20); !r.Ended() || r.Unfinished() {
		t.Error("a response that said that it has ended has not")
	}
	lines := strings.Repeat("\r\n", 1<<20) // each is looked at once, or this takes minutes
	if got, _ := read(t, "/v1/messages", chunk(t, "{\"type\":"+lines+"\"ping\"}"), 1<<20); strings.Count(got, "\n") != 3 || !strings.HasSuffix(got, " \"ping\"}\n\n") {
		t.Errorf("lines between values: %d bytes", len(got))
	}
	for _, size := range []int{1, 7, 100, len(frames)} {
		got, r := read(t, "/v1/messages", frames, size)
		if got != sse || !r.Ended() || r.Failed() || r.Unfinished() || r.Usage().PromptTokens != 25 || r.Usage().CompletionTokens != 15 {
			t.Errorf("%d: %s\n%+v", size, got, r.Usage())
		}
		got, r = read(t, "/v1/chat/completions", frames, size)
		if !strings.Contains(got, "At six 潮水.") || !strings.HasSuffix(got, "data: [DONE]\n\n") || r.Usage().CompletionTokens != 15 {
			t.Errorf("%d: %s", size, got)
		}
	}
}

// TestFramesThatFail cuts and breaks the stream at every byte: what is passed on is the
// beginning of the whole one, and what follows is an error or an end that is none.
func TestFramesThatFail(t *testing.T) {
	t.Setenv("LLM_TEST_KEY", "k")
	frames, sse := stream(t)
	last := len(frames) - len(chunk(t, events[len(events)-1]))
	for at := 0; at < len(frames); at += 13 {
		got, r := read(t, "/v1/messages", frames[:at], 1<<20)
		if !strings.HasPrefix(sse, got) || r.Ended() || !r.Unfinished() {
			t.Fatalf("cut at %d: %q", at, got)
		}
		if at >= last {
			continue
		}
		broken := bytes.Clone(frames)
		broken[at] ^= 0x40
		got, r = read(t, "/v1/messages", broken, 1<<20)
		whole, failed, _ := strings.Cut(got, "event: error\n")
		if !strings.HasPrefix(sse, whole) || failed == "" && !r.Unfinished() || failed != "" && !r.Failed() {
			t.Fatalf("broken at %d: %q", at, got)
		}
	}
	for name, tail := range map[string][]byte{
		"exception":   frame(t, "exception", "throttlingException", `{"message":"Too many requests"}`),
		"no event":    chunk(t, `{"type":1}`),
		"no JSON":     chunk(t, `{"type":"message_stop"`),
		"no base64":   frame(t, "event", "chunk", `{"bytes":"%%"}`),
		"no payload":  frame(t, "event", "chunk", ``),
		"a bad name":  chunk(t, `{"type":"x\ndata: y"}`),
		"an own line": chunk(t, "{\"type\":\"error\",\n\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}"),
	} {
		got, r := read(t, "/v1/messages", append(chunk(t, events[0]), append(tail, chunk(t, events[5])...)...), 1<<20)
		if n := strings.Count(got, "event: error\n"); n != 1 || !r.Failed() {
			t.Errorf("%s: %q", name, got)
		}
		if name == "exception" && (!strings.Contains(got, "rate_limit_error") || !strings.Contains(got, "Too many requests")) {
			t.Errorf("%q", got)
		}
		got, r = read(t, "/v1/chat/completions", append(chunk(t, events[0]), tail...), 1<<20)
		if !strings.Contains(got, `"error"`) || strings.Contains(got, "[DONE]") || !r.Failed() {
			t.Errorf("%s: %q", name, got)
		}
	}
}
