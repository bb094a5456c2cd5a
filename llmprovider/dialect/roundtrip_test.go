package dialect_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/converse"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
)

// exchangeOf is what a random conversation says at one point: the user's text, then what
// the model says, calls, and gets as results.
type exchangeOf struct {
	user, said string   // JSON strings
	args       []string // of each call, objects
	results    []string // of each call, JSON strings
	last       string   // what the model says in the end, a JSON string
}

// spans are JSON as clients write it: escapes, space, the text of numbers, and the order
// of members that no decoder keeps.
var spans = []string{
	`{"z": 1.0,"a":[1e3, 12345678901234567890]}`, `{}`, `{"x":{"\u00e9":null,"a":1,"a":2}}`, `{ "t":"\/","q":"\"{" }`, `{"n":-0.0,"e":1E+2}`, `{"u":"\ud83d\ude00 é"}`,
}

var strs = []string{`"go"`, `"h\u00e9 \"q\" \\ \/"`, `"line\nnext\ttab"`, `"{\"a\": 1.0}"`, `"😀 \ud83d\ude00"`, `"[DONE] data: x\n\n"`}

func pick(r *rand.Rand, of []string) string { return of[r.IntN(len(of))] }

func randomExchange(r *rand.Rand) exchangeOf {
	e := exchangeOf{user: pick(r, strs), said: pick(r, strs), last: pick(r, strs)}
	for range r.IntN(4) {
		e.args = append(e.args, pick(r, spans))
		e.results = append(e.results, pick(r, strs))
	}
	return e
}

// text is a value as the text of a JSON string.
func text(value string) string {
	return `"` + string(jsonscan.AppendEscaped(nil, value)) + `"`
}

// turnsOf writes an exchange as the messages of an API. n is its number, for ids.
func turnsOf(api *dialect.API, e *exchangeOf, n int) []string {
	var calls, results []string
	for i, args := range e.args {
		id, result := fmt.Sprintf("call_%d_%d", n, i), e.results[i]
		switch api {
		case chat.API:
			calls = append(calls, `{"id":"`+id+`","type":"function","function":{"name":"f","arguments":`+text(args)+`}}`)
			results = append(results, `{"role":"tool","tool_call_id":"`+id+`","content":`+result+`}`)
		case responses.API:
			calls = append(calls, `{"type":"function_call","call_id":"`+id+`","name":"f","arguments":`+text(args)+`}`)
			results = append(results, `{"type":"function_call_output","call_id":"`+id+`","output":`+result+`}`)
		case messages.API:
			calls = append(calls, `{"type":"tool_use","id":"`+id+`","name":"f","input":`+args+`}`)
			results = append(results, `{"type":"tool_result","tool_use_id":"`+id+`","content":`+result+`}`)
		case gemini.API:
			calls = append(calls, `{"functionCall":{"id":"`+id+`","name":"f","args":`+args+`}}`)
			results = append(results, `{"functionResponse":{"id":"`+id+`","name":"f","response":{"output":`+result+`}}}`)
		}
	}
	joined := strings.Join(calls, ",")
	if joined != "" {
		joined = "," + joined
	}
	var out []string
	switch api {
	case chat.API:
		out = []string{`{"role":"user","content":` + e.user + `}`}
		if len(calls) > 0 {
			out = append(out, `{"role":"assistant","content":`+e.said+`,"tool_calls":[`+joined[1:]+`]}`)
			out = append(out, results...)
		}
		out = append(out, `{"role":"assistant","content":`+e.last+`}`)
	case responses.API:
		out = []string{`{"role":"user","content":` + e.user + `}`}
		if len(calls) > 0 {
			out = append(append(out, `{"role":"assistant","content":`+e.said+`}`+joined), results...) // a model's items come together
		}
		out = append(out, `{"role":"assistant","content":`+e.last+`}`)
	case messages.API:
		out = []string{`{"role":"user","content":` + e.user + `}`}
		if len(calls) > 0 {
			out = append(out, `{"role":"assistant","content":[{"type":"text","text":`+e.said+`}`+joined+`]}`, `{"role":"user","content":[`+strings.Join(results, ",")+`]}`)
		}
		out = append(out, `{"role":"assistant","content":`+e.last+`}`)
	case gemini.API:
		out = []string{`{"role":"user","parts":[{"text":` + e.user + `}]}`}
		if len(calls) > 0 {
			out = append(out, `{"role":"model","parts":[{"text":`+e.said+`}`+joined+`]}`, `{"role":"user","parts":[`+strings.Join(results, ",")+`]}`)
		}
		out = append(out, `{"role":"model","parts":[{"text":`+e.last+`}]}`)
	}
	return out
}

// member is what an API calls the conversation.
var member = map[*dialect.API]string{chat.API: "messages", responses.API: "input", messages.API: "messages", gemini.API: "contents", converse.API: "messages"}

// requestOf writes a request with that conversation and one tool.
func requestOf(api *dialect.API, schema string, turns []string) []byte {
	head := map[*dialect.API]string{
		chat.API:      `"model":"x","tools":[{"type":"function","function":{"name":"f","parameters":` + schema + `}}]`,
		responses.API: `"model":"x","tools":[{"type":"function","name":"f","parameters":` + schema + `}]`,
		messages.API:  `"model":"x","max_tokens":9,"tools":[{"name":"f","input_schema":` + schema + `}]`,
		gemini.API:    `"tools":[{"functionDeclarations":[{"name":"f","parametersJsonSchema":` + schema + `}]}]`,
	}[api]
	return []byte(`{` + head + `,"` + member[api] + `":[` + strings.Join(turns, ",") + `]}`)
}

// kept returns everything that a request carries, in order: texts, arguments and results
// as their bytes were, with strings and objects apart from how the API holds them.
func kept(t *testing.T, api *dialect.API, body []byte) string {
	t.Helper()
	r, refused := dialect.Read(api, body, dialect.Call{})
	if refused != nil {
		t.Fatalf("%s: %v in %s", api.Name, refused, body)
	}
	var out strings.Builder
	for _, tool := range r.Tools {
		fmt.Fprintf(&out, "tool %s %s\n", tool.Name, tool.Schema)
	}
	for _, turn := range r.Turns {
		for _, p := range turn.Parts {
			switch p.Kind {
			case dialect.Text:
				fmt.Fprintf(&out, "%d says %s\n", turn.Role, p.Text)
			case dialect.ToolCall:
				args, _ := p.Call.Arguments.AppendObject(nil)
				fmt.Fprintf(&out, "calls %s %s %s\n", p.Call.ID, p.Call.Name, args)
			case dialect.ToolResult:
				fmt.Fprintf(&out, "gets %s %s\n", p.Result.ID, p.Result.Name)
				for _, inner := range p.Result.Parts {
					fmt.Fprintf(&out, "  %s\n", inner.Text)
				}
			}
		}
	}
	return out.String()
}

// A conversation that goes through another API and comes back says the same, byte for
// byte of every text, argument, result and schema.
func TestRoundTrips(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1)) // the same each time
		for _, from := range clients {
			var turns []string
			for n := range 1 + r.IntN(4) {
				e := randomExchange(r)
				turns = append(turns, turnsOf(from, &e, n)...)
			}
			body := requestOf(from, pick(r, spans), turns)
			want := kept(t, from, body)
			for _, by := range clients {
				out := body
				for _, lane := range [][2]*dialect.API{{from, by}, {by, from}} {
					read, refused := dialect.Read(lane[0], out, dialect.Call{})
					if refused != nil {
						t.Fatalf("%s to %s: %v", from.Name, by.Name, refused)
					}
					translated, refused := dialect.Translate(read, lane[1], dialect.Target{Model: "m", MaxOutput: 9})
					if refused != nil {
						t.Fatalf("%s to %s: %v", from.Name, by.Name, refused)
					}
					out = translated.Body
				}
				if got := kept(t, from, out); got != want {
					t.Fatalf("%s through %s, seed %d:\n%s\nbecame\n%s\nfrom %s to %s", from.Name, by.Name, seed, want, got, body, out)
				}
			}
		}
	}
}

// A turn that is appended to a conversation changes no byte before it, for every pair of
// APIs and whatever the turns say.
func TestAppendedTurnsKeepThePrefix(t *testing.T) {
	for seed := range uint64(25) {
		r := rand.New(rand.NewPCG(seed, 2)) // the same each time
		for _, from := range clients {
			var turns []string
			for n := range 3 {
				e := randomExchange(r)
				turns = append(turns, turnsOf(from, &e, n)...)
			}
			schema := pick(r, spans)
			for _, to := range providers {
				var last []byte
				for n := 1; n <= len(turns); n++ {
					read, refused := dialect.Read(from, requestOf(from, schema, turns[:n]), dialect.Call{})
					if refused != nil {
						t.Fatal(from.Name, refused)
					}
					out, refused := dialect.Translate(read, to, dialect.Target{Model: "m", Profile: profiles[seed%uint64(len(profiles))]})
					if refused != nil {
						t.Fatal(from.Name, to.Name, refused)
					}
					if last != nil && !bytes.HasPrefix(out.Body, last) {
						t.Fatalf("%s to %s, seed %d, turn %d: %s does not begin with %s", from.Name, to.Name, seed, n, out.Body, last)
					}
					last = bytes.TrimRight(out.Body, "]}")
				}
				if !bytes.Contains(last, []byte(`"`+member[to]+`":[`)) {
					t.Fatalf("%s has no conversation", last)
				}
			}
		}
	}
}
