// Package lanes_test holds tests of the built gateway through the official Go SDKs of all
// client APIs, before a provider of every API: each pair holds the same conversations.
// The SDKs are strict readers, and the provider (fakemodel) is a strict reader of what
// comes to it.
package lanes_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakemodel"
	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

const (
	sdkKey      = "sk-of-the-sdk-3f9a17"
	providerKey = "sk-of-the-provider-c45d02"
	// patience bounds what should take milliseconds, on a busy machine too.
	patience = 20 * time.Second
)

// TestMain keeps the SDKs from taking their settings from the environment.
func TestMain(m *testing.M) {
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		for _, prefix := range []string{"OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_", "AWS_"} {
			if strings.HasPrefix(name, prefix) {
				_ = os.Unsetenv(name)
			}
		}
	}
	os.Exit(m.Run())
}

// serve starts a provider and a gateway with a site for each API that the provider may
// speak, and returns the URLs of the sites.
func serve(t *testing.T) (*fakeprovider.Server, map[fakemodel.API]string) {
	t.Helper()
	s := fakeprovider.New(t)
	var providers, sites strings.Builder
	urls := make(map[fakemodel.API]string)
	for _, api := range fakemodel.All() {
		port := gateway.FreePort(t)
		urls[api] = fmt.Sprintf("http://127.0.0.1:%d", port)
		providers.WriteString(api.Block(string(api), s.URL(), s.CAFile()))
		fmt.Fprintf(&sites, "http://:%d {\n\tllm_route {\n\t\trule %s {\n\t\t\tto %s\n\t\t}\n\t}\n}\n", port, api, api)
	}
	gateway.Start(t, "{\n\tllm {\n\t\tstatus_listen off\n"+providers.String()+"\t}\n}\n"+sites.String(), gateway.Env(fakemodel.KeyVariable, providerKey), gateway.Within(2*time.Minute))
	return s, urls
}

// What is asked, in all conversations. The schema, the arguments and the schema of the
// response are not what an encoder would write.
const (
	system     = "You watch the tide."
	question   = `When does it turn? 潮水 <&> "then"`
	picture    = "iVBORw0KGgo="
	tideSchema = `{"type":"object","required":["harbour"],"properties":{"zone":{"type":"integer","default":1e3},"harbour":{"type":"string","description":"caf\u00e9 \/ pier"}},"additionalProperties":false}`
	windSchema = `{"properties":{},"type":"object"}`
	tide       = `{"zone":12345678901234567890,"harbour":"caf\u00e9 \/ 潮","x":1.0}`
	formSchema = `{"type":"object","required":["at"],"properties":{"at":{"type":"string"}},"additionalProperties":false}`
	form       = `{"at":"06:41"}`
	reasoning  = "The tide turns, 潮."
	looking    = `I look. 潮 <&> "x"`
	verdict    = "At six."
)

// calls are what the model calls at once.
var calls = []fakemodel.Call{{ID: "call_Tide01", Name: "get_tide", Arguments: tide}, {ID: "call_Wind02", Name: "get_wind", Arguments: "{}"}}

// results are what the tools say, by their names.
var results = map[string]string{"get_tide": `3.20 "m"`, "get_wind": "calm 風"}

// heard is what an SDK made of a response.
type heard struct {
	text, reasoning string
	calls           []fakemodel.Call
	finish          string
	prompt, cached  int64
	completion      int64
}

// conversation is one with a client of an SDK, which remembers its own turns.
type conversation interface {
	// ask asks the question, with the picture, the tools and reasoning.
	ask(stream bool) (heard, error)
	// answer gives the results of the calls that were heard.
	answer(stream bool, calls []fakemodel.Call) (heard, error)
	// form asks for a response by the schema.
	form() (heard, error)
	// leave asks for a stream and leaves after the first text.
	leave() error
	// status is the status and the text of an error of the SDK, 0 if it is none of its
	// class for that.
	status(err error) (int, string)
	// finishes are the words for the end of a turn with calls, and of one without.
	finishes() [2]string
}

// sameJSON reports whether two documents say the same.
func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && fmt.Sprint(x) == fmt.Sprint(y)
}
