package sdk

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

const (
	// sdkKey is what the SDK sends, as it always sends some key; providerKey
	// and otherKey are what the providers must get instead.
	sdkKey      = "sk-of-the-sdk-3f9a17"
	providerKey = "sk-of-the-provider-c45d02"
	otherKey    = "sk-of-the-other-provider-77b8e6"

	// patience bounds what should take milliseconds, on a busy machine too.
	patience = 10 * time.Second
)

// oneProvider is a gateway with one provider for everything.
const oneProvider = `{
	llm {
		status_listen off
		provider main {{.Main}}/v1/chat/completions {
			api_key {env.MAIN_KEY}
			tls_trust_pool file {{.CA}}
		}
	}
}

http://:{{.Port}} {
	llm_route {
		to main
	}
}
`

// TestMain keeps the SDK from taking its settings from the environment.
func TestMain(m *testing.M) {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "OPENAI_") || strings.HasPrefix(name, "ANTHROPIC_") {
			_ = os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}

// site is a running gateway and its address.
type site struct {
	*gateway.Gateway
	// URL has no path.
	URL string
}

// serve starts a gateway. The config may use .Port beside the parameters given,
// and the environment variables MAIN_KEY and OTHER_KEY.
func serve(t testing.TB, config string, params map[string]any, options ...gateway.Option) *site {
	t.Helper()
	port := gateway.FreePort(t)
	all := map[string]any{"Port": port}
	maps.Copy(all, params)
	options = append(options, gateway.Env("MAIN_KEY", providerKey), gateway.Env("OTHER_KEY", otherKey), gateway.Within(2*time.Minute))
	return &site{
		Gateway: gateway.Start(t, gateway.Render(t, config, all), options...),
		URL:     fmt.Sprintf("http://127.0.0.1:%d", port),
	}
}

// serveOne starts a provider and a gateway in front of it.
func serveOne(t testing.TB, options ...fakeprovider.Option) (*fakeprovider.Server, *site) {
	t.Helper()
	s := fakeprovider.New(t, options...)
	return s, serve(t, oneProvider, map[string]any{"Main": s.URL(), "CA": s.CAFile()})
}

// client is the SDK pointed at the gateway. It does not retry, so that a test
// sees what the gateway answered first.
func (s *site) client(options ...option.RequestOption) *openai.Client {
	return sdkAt(s.URL+"/v1", options...)
}

// direct is the SDK pointed at the provider, with nothing between them.
func direct(s *fakeprovider.Server, options ...option.RequestOption) *openai.Client {
	options = append([]option.RequestOption{option.WithHTTPClient(s.Client())}, options...)
	return sdkAt(s.URL()+"/v1", options...)
}

func sdkAt(baseURL string, options ...option.RequestOption) *openai.Client {
	options = append([]option.RequestOption{
		option.WithBaseURL(baseURL), option.WithAPIKey(sdkKey), option.WithMaxRetries(0),
		option.WithRequestTimeout(2 * patience), // so that what hangs fails
	}, options...)
	client := openai.NewClient(options...)
	return &client
}

// question is a chat request for a model.
func question(model string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model: model,
		Messages: []openai.ChatCompletionMessageParamUnion{
			openai.SystemMessage("You watch the tide."),
			openai.UserMessage("When does it turn? 潮水 <&> \"then\""),
		},
	}
}

// askingUsage is a question that wants the usage of its stream.
func askingUsage(model string) openai.ChatCompletionNewParams {
	params := question(model)
	params.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
	return params
}

// apiError is the SDK's typed error; the test fails on any other.
func apiError(t testing.TB, err error) *openai.Error {
	t.Helper()
	var typed *openai.Error
	if !errors.As(err, &typed) {
		t.Fatalf("got %T %v, want an error of the API", err, err)
	}
	return typed
}

// checkKeys holds that a provider got its own key and none of the others.
func checkKeys(t testing.TB, r *fakeprovider.Recorded, own string) {
	t.Helper()
	if got := r.Header["Authorization"]; len(got) != 1 || got[0] != "Bearer "+own {
		t.Errorf("the provider got Authorization %q", got)
	}
	all := fmt.Sprint(r.Target, r.Header, string(r.Body))
	for _, key := range []string{sdkKey, providerKey, otherKey} {
		if key != own && strings.Contains(all, key) {
			t.Errorf("the key %s reached the provider of %s: %s", key, own, all)
		}
	}
}
