package sdk

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

// apiErrorBody is the shape of an error in OpenAI's API.
type apiErrorBody struct {
	Message, Type, Code string
	Param               *string
}

// errorIn reads a whole error document.
func errorIn(t *testing.T, document []byte) apiErrorBody {
	t.Helper()
	var body struct{ Error *apiErrorBody }
	if err := json.Unmarshal(document, &body); err != nil || body.Error == nil {
		t.Fatalf("no error of the API: %v %s", err, document)
	}
	return *body.Error
}

// checkOwn holds that an error is the gateway's own: typed, in JSON, with
// something to read in it and no secret.
func checkOwn(t *testing.T, err error, status int, kind, code string) *openai.Error {
	t.Helper()
	e := apiError(t, err)
	if e.StatusCode != status || e.Type != kind || e.Code != code {
		t.Errorf("got %d %s %s, want %d %s %s: %s", e.StatusCode, e.Type, e.Code, status, kind, code, e.RawJSON())
	}
	if got := e.Response.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	if len(e.Message) < 20 {
		t.Errorf("the message says nothing: %q", e.Message)
	}
	dump := string(e.DumpResponse(true))
	for _, secret := range []string{sdkKey, providerKey, otherKey} {
		if strings.Contains(dump, secret) {
			t.Errorf("a key is in the response: %s", dump)
		}
	}
	return e
}

// errorSites are the configurations that the gateway's own errors need, each a
// site of its own.
const errorSites = `{
	llm {
		status_listen off
		provider main {{.Main}}/v1/chat/completions {
			model the-model
			api_key {env.MAIN_KEY}
			tls_trust_pool file {{.CA}}
		}
		provider impatient {{.Main}}/v1/chat/completions {
			first_byte_timeout 300ms
			tls_trust_pool file {{.CA}}
		}
		provider nobody https://127.0.0.1:{{.Nobody}}/v1/chat/completions
		provider untrusted {{.Main}}/v1/chat/completions
		provider keyless {{.Main}}/v1/chat/completions {
			api_key {env.KEY_NOBODY_SET}
			tls_trust_pool file {{.CA}}
		}
	}
}

http://:{{.Port}} {
	handle_path /small/* {
		llm_route {
			to main
			max_body 100KB
		}
	}
	handle_path /keys/* {
		llm_keys keys.txt
		llm_route {
			to main
		}
	}
	handle_path /vip/* {
		llm_route {
			rule vip {
				match header user-type subscriber
				to main
			}
		}
	}
	handle_path /impatient/* {
		llm_route {
			to impatient
		}
	}
	handle_path /nobody/* {
		llm_route {
			to nobody
		}
	}
	handle_path /untrusted/* {
		llm_route {
			to untrusted
		}
	}
	handle_path /keyless/* {
		llm_route {
			to keyless
		}
	}
	handle_path /by-host/* {
		llm_route
	}
	handle {
		llm_route {
			to main
		}
	}
}
`

// Every error that the gateway makes itself is the SDK's usual typed one.
func TestOwnErrors(t *testing.T) {
	const virtualKey = "gw-virtual-key-1"
	s := fakeprovider.New(t)
	g := serve(t, errorSites, map[string]any{"Main": s.URL(), "CA": s.CAFile(), "Nobody": gateway.FreePort(t)},
		gateway.File("keys.txt", fmt.Sprintf("# who\nalice sha256:%x gpt-* the-model\nbob sha256:%x other\n",
			sha256.Sum256([]byte(virtualKey)), sha256.Sum256([]byte("gw-virtual-key-2")))))

	body := func(text string) []option.RequestOption {
		return []option.RequestOption{option.WithRequestBody("application/json", []byte(text))}
	}
	elsewhere := strings.Replace(g.URL, "127.0.0.1", "localhost", 1)
	long := strings.Repeat("the tide ", 1_000_000)
	for _, c := range []struct {
		name, path string
		options    []option.RequestOption
		ask        func(context.Context, *openai.Client) error // a chat when nil
		reached    int                                         // how often the provider is asked
		status     int
		kind, code string
	}{
		{name: "400 an array", options: body(`[{"model":"gpt-4o"}]`), status: 400, kind: "invalid_request_error", code: "invalid_json"},
		{name: "400 cut short", options: body(`{"model":"gpt-4o","messages":[`), status: 400, kind: "invalid_request_error", code: "invalid_json"},
		{name: "400 two models", options: body(`{"model":"gpt-4o","m\u006fdel":"o3"}`), status: 400, kind: "invalid_request_error", code: "invalid_json"},
		{name: "401 unknown key", path: "/keys", status: 401, kind: "invalid_request_error", code: "invalid_api_key"},
		{name: "401 no key", path: "/keys", options: []option.RequestOption{option.WithHeaderDel("Authorization")},
			status: 401, kind: "invalid_request_error", code: "invalid_api_key"},
		{name: "401 models", path: "/keys", ask: listModels, status: 401, kind: "invalid_request_error", code: "invalid_api_key"},
		{name: "403 another's model", path: "/keys", options: []option.RequestOption{option.WithAPIKey("gw-virtual-key-2")},
			status: 403, kind: "permission_error", code: "model_not_allowed"},
		{name: "404 no rule", path: "/vip", status: 404, kind: "invalid_request_error", code: "no_route"},
		{name: "404 no provider of that host", path: "/by-host", options: []option.RequestOption{option.WithBaseURL(elsewhere + "/by-host/v1")},
			status: 404, kind: "invalid_request_error", code: "no_route"},
		{name: "404 model", ask: func(ctx context.Context, client *openai.Client) error {
			_, err := client.Models.Get(ctx, "gpt-0")
			return err
		}, status: 404, kind: "invalid_request_error", code: "model_not_found"},
		{name: "404 files", ask: func(ctx context.Context, client *openai.Client) error {
			_, err := client.Files.List(ctx, openai.FileListParams{})
			return err
		}, status: 404, kind: "invalid_request_error", code: "unsupported_endpoint"},
		{name: "404 a stored response", ask: func(ctx context.Context, client *openai.Client) error {
			return client.Responses.Delete(ctx, "resp_1")
		}, status: 404, kind: "invalid_request_error", code: "unsupported_endpoint"},
		{name: "405", ask: func(ctx context.Context, client *openai.Client) error {
			_, err := client.Chat.Completions.List(ctx, openai.ChatCompletionListParams{})
			return err
		}, status: 405, kind: "invalid_request_error", code: "method_not_allowed"},
		{name: "413", path: "/small", ask: func(ctx context.Context, client *openai.Client) (err error) {
			params := question("gpt-4o")
			params.Messages = append(params.Messages, openai.UserMessage(long))
			for range 10 { // the SDK is still sending when the response comes
				var typed *openai.Error
				if _, err = client.Chat.Completions.New(ctx, params); !errors.As(err, &typed) {
					break
				}
			}
			return err
		}, status: 413, kind: "invalid_request_error", code: "request_too_large"},
		{name: "415", options: []option.RequestOption{option.WithHeader("Content-Type", "application/x-www-form-urlencoded")},
			status: 415, kind: "invalid_request_error", code: "unsupported_media_type"},
		{name: "502 nobody listens", path: "/nobody", status: 502, kind: "server_error", code: "provider_unreachable"},
		{name: "502 unknown authority", path: "/untrusted", status: 502, kind: "server_error", code: "provider_unreachable"},
		{name: "503 no key", path: "/keyless", status: 503, kind: "server_error", code: "provider_key_missing"},
		{name: "504", path: "/impatient", reached: 1, status: 504, kind: "server_error", code: "provider_timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.Script(fakeprovider.Always(fakeprovider.Reply{}.HangBeforeHead()))
			before := s.Count()
			client := sdkAt(g.URL+c.path+"/v1", c.options...)
			ask := c.ask
			if ask == nil {
				ask = func(ctx context.Context, client *openai.Client) error {
					_, err := client.Chat.Completions.New(ctx, question("gpt-4o"))
					return err
				}
			}
			e := checkOwn(t, ask(t.Context(), client), c.status, c.kind, c.code)
			if c.status == http.StatusMethodNotAllowed && e.Response.Header.Get("Allow") != "POST" {
				t.Errorf("Allow is %q", e.Response.Header.Get("Allow"))
			}
			if n := s.Count() - before; n != c.reached {
				t.Errorf("the provider was asked %d times, want %d", n, c.reached)
			}
			if c.ask == nil && c.status != http.StatusBadRequest { // a stream that cannot begin is the same error
				stream := client.Chat.Completions.NewStreaming(t.Context(), question("gpt-4o"))
				if stream.Next() {
					t.Error("a chunk came")
				}
				_ = checkOwn(t, stream.Err(), c.status, c.kind, c.code)
			}
		})
	}

	// The gateway has lived through all that, and a good key passes.
	s.Script(fakeprovider.Default)
	client := sdkAt(g.URL+"/keys/v1", option.WithAPIKey(virtualKey))
	if _, err := client.Chat.Completions.New(t.Context(), question("gpt-4o")); err != nil {
		t.Fatal(err)
	}
	checkKeys(t, s.Last(), providerKey)
	if strings.Contains(fmt.Sprint(s.Last().Header), virtualKey) {
		t.Errorf("the virtual key reached the provider: %v", s.Last().Header)
	}
	for _, line := range g.Logs() {
		for _, secret := range []string{sdkKey, providerKey, virtualKey, "the tide"} {
			if strings.Contains(line.Raw, secret) {
				t.Errorf("%q is in the log: %s", secret, line.Raw)
			}
		}
	}
}

func listModels(ctx context.Context, client *openai.Client) error {
	_, err := client.Models.List(ctx)
	return err
}

// A provider whose manifest cannot be used still owns its host: the request is
// refused, and its prompt goes nowhere.
func TestUnusableProvider(t *testing.T) {
	const config = `{
	llm {
		status_listen off
		source files provider.yaml
	}
}

http://:{{.Port}} {
	llm_route {
		table mesh
	}
}
`
	const manifest = `apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata:
  name: unfilled
spec:
  host: llm.internal
  configs:
    defaultConfig:
      openAIConfig:
        model: the-model
        apiKey: "${API_KEY}"
`
	g := serve(t, config, nil, gateway.File("provider.yaml", manifest))
	_, err := sdkAt("http://llm.internal/v1", throughProxy(t, g)).Chat.Completions.New(t.Context(), question("gpt-4o"))
	_ = checkOwn(t, err, 503, "server_error", "no_usable_backend")
	_, err = sdkAt("http://other.internal/v1", throughProxy(t, g)).Chat.Completions.New(t.Context(), question("gpt-4o"))
	_ = checkOwn(t, err, 404, "invalid_request_error", "no_route")
}
