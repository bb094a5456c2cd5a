package prompt

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/filter"
)

// begin has the prompts look at a request, and returns the body that is sent.
func begin(t testing.TB, f *Filter, path, body string, names ...string) (string, *llmprovider.Error) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://localhost"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	in, refused := llmprovider.NewInbound(r)
	if refused == nil {
		refused = in.Read(r, llmprovider.DefaultMaxBody)
	}
	if refused != nil {
		t.Skip(refused)
	}
	defer in.Release()
	step, refused := f.Begin(context.Background(), &filter.Call{Request: r, Inbound: in, Prompts: names})
	if step != nil {
		t.Error("a prompt has something to do with the response")
	}
	return string(in.Body()), refused
}

func newFilter(t testing.TB, definitions map[string]*Definition) *Filter {
	t.Helper()
	f, err := New(definitions)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const (
	chatPath      = "/v1/chat/completions"
	responsesPath = "/v1/responses"
	messagesPath  = "/v1/messages"
	geminiPath    = "/v1beta/models/m:generateContent"
)

var house = map[string]*Definition{
	"ps": {Prepend: []Message{{Role: RoleSystem, Content: "P\"1"}}},
	"as": {Append: []Message{{Role: RoleSystem, Content: "A"}}},
	"pu": {Prepend: []Message{{Role: RoleUser, Content: "q"}, {Role: RoleAssistant, Content: "a"}}},
	"au": {Append: []Message{{Role: RoleUser, Content: "z"}}},
	"p2": {Prepend: []Message{{Role: RoleSystem, Content: "one"}, {Role: RoleSystem, Content: "two"}}},
}

// TestAdds holds where each API has what is added, with all other bytes as they were.
func TestAdds(t *testing.T) {
	f := newFilter(t, house)
	for _, test := range []struct{ path, names, body, want string }{
		// Chat completions have the system prompt among the messages.
		{chatPath, "ps", `{ "x":1.0,"messages" : [ {"role":"user","content":"\u0068i"} ] }`, `{ "x":1.0,"messages" : [{"role":"system","content":"P\"1"}, {"role":"user","content":"\u0068i"} ] }`},
		{chatPath, "as", `{"messages":[{"role":"user","content":"hi"} ],"y":2}`, `{"messages":[{"role":"user","content":"hi"} ,{"role":"system","content":"A"}],"y":2}`},
		{chatPath, "ps as", `{"messages":[{"role":"system","content":"own"},{"role":"user","content":"hi"}]}`, `{"messages":[{"role":"system","content":"P\"1"},{"role":"system","content":"own"},{"role":"user","content":"hi"},{"role":"system","content":"A"}]}`},
		{chatPath, "ps", `{"messages":[{"role":"system","content":[{"type":"text","text":"own"}]}]}`, `{"messages":[{"role":"system","content":"P\"1"},{"role":"system","content":[{"type":"text","text":"own"}]}]}`},
		{chatPath, "ps as", `{"messages":[{"role":"developer","content":"own"}]}`, `{"messages":[{"role":"developer","content":"P\"1"},{"role":"developer","content":"own"},{"role":"developer","content":"A"}]}`},
		{chatPath, "pu au", `{"messages":[]}`, `{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"user","content":"z"}]}`},
		{chatPath, "p2 pu", `{"messages":[{}]}`, `{"messages":[{"role":"system","content":"one\n\ntwo"},{"role":"user","content":"q"},{"role":"assistant","content":"a"},{}]}`},
		{chatPath, "au", `{"m\u0065ssages":[1]}`, `{"m\u0065ssages":[1,{"role":"user","content":"z"}]}`},
		{"/openai/deployments/d/chat/completions", "as", `{"messages":[]}`, `{"messages":[{"role":"system","content":"A"}]}`},

		{responsesPath, "ps", `{"input":"hi"}`, `{"instructions":"P\"1","input":"hi"}`},
		{responsesPath, "ps as", ` {"instructions":null,"input":"hi"}`, ` {"instructions":"P\"1\n\nA","input":"hi"}`},
		{responsesPath, "ps as", `{"instructions":"o\u0077n","input":"hi"}`, `{"instructions":"P\"1\n\no\u0077n\n\nA","input":"hi"}`},
		{responsesPath, "ps as", `{"instructions":""}`, `{"instructions":"P\"1\n\nA"}`},
		{responsesPath, "ps", `{}`, `{"instructions":"P\"1"}`},
		{responsesPath, "pu au", `{"input":"h\u0069"}`, `{"input":[{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"user","content":"h\u0069"},{"role":"user","content":"z"}]}`},
		{responsesPath, "au", `{"input":[{"type":"item_reference","id":"x"}]}`, `{"input":[{"type":"item_reference","id":"x"},{"role":"user","content":"z"}]}`},
		{responsesPath, "au", `{"prompt":{"id":"p"}}`, `{"input":[{"role":"user","content":"z"}],"prompt":{"id":"p"}}`},
		{responsesPath, "ps au", `{}`, `{"instructions":"P\"1","input":[{"role":"user","content":"z"}]}`},
		{responsesPath + "/input_tokens", "as", `{"input":"hi"}`, `{"instructions":"A","input":"hi"}`},

		{messagesPath, "ps", `{"messages":[]}`, `{"system":"P\"1","messages":[]}`},
		{messagesPath, "ps as", `{"system":"own","messages":[]}`, `{"system":"P\"1\n\nown\n\nA","messages":[]}`},
		{messagesPath, "as", `{"system":null,"messages":[]}`, `{"system":"A","messages":[]}`},
		{messagesPath, "ps as", `{"system":[ {"type":"text","text":"own","cache_control":{"type":"ephemeral","ttl":"1h"}} ]}`, `{"system":[{"type":"text","text":"P\"1"}, {"type":"text","text":"own","cache_control":{"type":"ephemeral","ttl":"1h"}} ,{"type":"text","text":"A"}]}`},
		{messagesPath, "ps", `{"system":[]}`, `{"system":[{"type":"text","text":"P\"1"}]}`},
		{messagesPath, "ps as", `{"system":[ ]}`, `{"system":[{"type":"text","text":"P\"1"},{"type":"text","text":"A"} ]}`},
		{messagesPath, "pu au", `{"messages":[{"role":"user","content":"hi"}]}`, `{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"user","content":"hi"},{"role":"user","content":"z"}]}`},
		{messagesPath + "/count_tokens", "as", `{"messages":[]}`, `{"system":"A","messages":[]}`},

		{geminiPath, "ps", `{"contents":[]}`, `{"systemInstruction":{"parts":[{"text":"P\"1"}]},"contents":[]}`},
		{geminiPath, "ps as", `{"systemInstruction":{"role":"system","parts":[{"text":"own"}]}}`, `{"systemInstruction":{"role":"system","parts":[{"text":"P\"1"},{"text":"own"},{"text":"A"}]}}`},
		{geminiPath, "ps as", `{"system_instruction":{"parts":{"text":"own"}}}`, `{"system_instruction":{"parts":[{"text":"P\"1"},{"text":"own"},{"text":"A"}]}}`},
		{geminiPath, "as", `{"systemInstruction":{"parts":{"text":"own"}}}`, `{"systemInstruction":{"parts":[{"text":"own"},{"text":"A"}]}}`},
		{geminiPath, "ps", `{"systemInstruction":{}}`, `{"systemInstruction":{"parts":[{"text":"P\"1"}]}}`},
		{geminiPath, "ps", `{"systemInstruction":{"role":"x"}}`, `{"systemInstruction":{"parts":[{"text":"P\"1"}],"role":"x"}}`},
		{geminiPath, "ps as", `{"systemInstruction":{"parts":null}}`, `{"systemInstruction":{"parts":[{"text":"P\"1\n\nA"}]}}`},
		{geminiPath, "as", `{"systemInstruction":null}`, `{"systemInstruction":{"parts":[{"text":"A"}]}}`},
		{geminiPath, "pu au", `{"contents":[{"parts":[]}]}`, `{"contents":[{"role":"user","parts":[{"text":"q"}]},{"role":"model","parts":[{"text":"a"}]},{"parts":[]},{"role":"user","parts":[{"text":"z"}]}]}`},
		{geminiPath, "au", `{"contents":{"parts":[]}}`, `{"contents":[{"parts":[]},{"role":"user","parts":[{"text":"z"}]}]}`},
		{"/v1beta/models/m:streamGenerateContent?alt=sse", "ps", `{"contents":[]}`, `{"systemInstruction":{"parts":[{"text":"P\"1"}]},"contents":[]}`},
	} {
		t.Run(test.path+" "+test.names+" "+test.body, func(t *testing.T) {
			got, refused := begin(t, f, test.path, test.body, strings.Fields(test.names)...)
			if refused != nil || got != test.want || !json.Valid([]byte(got)) {
				t.Errorf("%v\ngot  %s\nwant %s", refused, got, test.want)
			}
		})
	}
}

// TestRefuses holds that a request is not sent without what is to be added to it.
func TestRefuses(t *testing.T) {
	f := newFilter(t, house)
	for _, test := range []struct{ path, names, body, param string }{
		{chatPath, "ps", `{}`, "messages"},
		{chatPath, "ps", `{"messages":null}`, "messages"},
		{chatPath, "ps", `{"messages":"hi"}`, "messages"},
		{chatPath, "ps", `{"messages":{"role":"user"}}`, "messages"},
		{chatPath, "ps", `{"messages":7}`, "messages"},
		{chatPath, "ps", `{"messages":[],"messages":[]}`, "messages"},
		{chatPath, "ps", `{"messages":[],"Messages":[]}`, "messages"},
		{chatPath, "ps", `{"messages":[],"mess\u0061ges":[]}`, "messages"},
		{chatPath, "ps", `{"messages":[],"mes\u017fages":[]}`, "messages"},
		{chatPath, "ps", `{"messages":[],"messages\u0000x":[]}`, "messages"},
		{chatPath, "ps", `{"messages":[],"messages\ud800":[]}`, "messages"},
		{responsesPath, "ps", `{"instructions":["x"]}`, "instructions"},
		{responsesPath, "ps", `{"instructions":"a","INSTRUCTIONS":"b"}`, "instructions"},
		{responsesPath, "au", `{"input":{}}`, "input"},
		{responsesPath, "au", `{"input":true}`, "input"},
		{messagesPath, "ps", `{"system":{"type":"text"}}`, "system"},
		{messagesPath, "ps", `{"system":3}`, "system"},
		{messagesPath, "ps", `{"system":"a","system":"b"}`, "system"},
		{messagesPath, "au", `{}`, "messages"},
		{geminiPath, "ps", `{"systemInstruction":"x"}`, "systemInstruction"},
		{geminiPath, "ps", `{"systemInstruction":[]}`, "systemInstruction"},
		{geminiPath, "ps", `{"systemInstruction":{},"system_instruction":{}}`, "systemInstruction"},
		{geminiPath, "ps", `{"SystemInstruction":{}}`, "systemInstruction"},
		{geminiPath, "ps", `{"systemInstruction":{"parts":"x"}}`, "systemInstruction.parts"},
		{geminiPath, "ps", `{"systemInstruction":{"parts":[],"parts":[]}}`, "parts"},
		{geminiPath, "au", `{"contents":"hi"}`, "contents"},
	} {
		t.Run(test.path+" "+test.body, func(t *testing.T) {
			got, refused := begin(t, f, test.path, test.body, test.names)
			if refused == nil || refused.Status != 400 || refused.Code != "invalid_value" || refused.Param != test.param || got != test.body {
				t.Errorf("%+v with %s", refused, got)
			}
		})
	}
	if _, refused := begin(t, f, chatPath, `{"messages":[]}`, "other"); refused == nil || refused.Status != 503 || refused.Code != "prompt_unavailable" {
		t.Errorf("a prompt that is not there: %v", refused)
	}
}

// TestUnchanged holds which requests nothing is added to.
func TestUnchanged(t *testing.T) {
	f := newFilter(t, house)
	for path, body := range map[string]string{
		"/v1/embeddings": `{"input":"hi"}`, "/v1/completions": `{"prompt":"hi"}`, "/v1/moderations": `{"input":"hi"}`, "/v1/responses/compact": `{"input":"hi"}`,
		"/v1beta/models/m:countTokens": `{"contents":[]}`, "/v1beta/models/m:embedContent": `{"content":{}}`, "/v1/rerank": `{"query":"x"}`,
	} {
		if got, refused := begin(t, f, path, body, "ps", "au"); refused != nil || got != body {
			t.Errorf("%s: %v, sends %s", path, refused, got)
		}
	}
	if got, refused := begin(t, f, chatPath, `{"template":"x"}`); refused != nil || got != `{"template":"x"}` {
		t.Errorf("without prompts: %v, sends %s", refused, got)
	}
}

var templates = map[string]*Definition{
	"t": {
		Prepend: []Message{{Role: RoleSystem, Content: "House."}}, Append: []Message{{Role: RoleUser, Content: "Thanks."}},
		Templates: map[string][]Message{
			"code": {{Role: RoleSystem, Content: "You know {{language}}."}, {Role: RoleUser, Content: "Write {{ what }} in {{language}}, {{no name}}."}},
			"bare": {{Role: RoleUser, Content: "{{what}}"}},
		},
	},
	"plain": {Templates: map[string][]Message{"hi": {{Role: RoleUser, Content: "Hi."}}}},
}

func TestTemplates(t *testing.T) {
	f := newFilter(t, templates)
	const system, user = `House.\n\nYou know Go.`, `Write a \"{{language}}\" in Go, {{no name}}.`
	const properties = `"properties":{"language":"Go","what":"a \"{{language}}\"","more":1}`
	for _, test := range []struct{ path, body, want string }{
		{chatPath, `{"template":"code",` + properties + `,"model":"m"}`, `{"messages":[{"role":"system","content":"` + system + `"},{"role":"user","content":"` + user + `"},{"role":"user","content":"Thanks."}],"model":"m"}`},
		{chatPath, `{"model":"m", "template":"code" , ` + properties + ` }`, `{"messages":[{"role":"system","content":"` + system + `"},{"role":"user","content":"` + user + `"},{"role":"user","content":"Thanks."}],"model":"m" }`},
		{chatPath, `{` + properties + `,"messages":[{}],"template":"code"}`, `{"messages":[{"role":"system","content":"` + system + `"},{"role":"user","content":"` + user + `"},{},{"role":"user","content":"Thanks."}]}`},
		{chatPath, `{"template":"code",` + properties + `}`, `{"messages":[{"role":"system","content":"` + system + `"},{"role":"user","content":"` + user + `"},{"role":"user","content":"Thanks."}]}`},
		{responsesPath, `{"a":1,"template":"code","b":2,` + properties + `,"c":3}`, `{"instructions":"` + system + `","input":[{"role":"user","content":"` + user + `"},{"role":"user","content":"Thanks."}],"a":1,"b":2,"c":3}`},
		{messagesPath, `{"template":"code",` + properties + `}`, `{"system":"` + system + `","messages":[{"role":"user","content":"` + user + `"},{"role":"user","content":"Thanks."}]}`},
		{geminiPath, `{"template":"code",` + properties + `}`, `{"systemInstruction":{"parts":[{"text":"` + system + `"}]},"contents":[{"role":"user","parts":[{"text":"` + user + `"}]},{"role":"user","parts":[{"text":"Thanks."}]}]}`},
		{chatPath, `{"template":null,"messages":[]}`, `{"template":null,"messages":[{"role":"system","content":"House."},{"role":"user","content":"Thanks."}]}`},
		{chatPath, `{"properties":{},"messages":[]}`, `{"properties":{},"messages":[{"role":"system","content":"House."},{"role":"user","content":"Thanks."}]}`},
		{chatPath, `{"template":"bare","properties":{"what":1.50},"messages":[]}`, `{"messages":[{"role":"system","content":"House."},{"role":"user","content":"1.50"},{"role":"user","content":"Thanks."}]}`},
		{chatPath, `{"template":"bare","properties":{"wh\u0061t":true},"messages":[]}`, `{"messages":[{"role":"system","content":"House."},{"role":"user","content":"true"},{"role":"user","content":"Thanks."}]}`},
		{chatPath, `{"template":"bare","properties":{"what":""},"messages":[]}`, `{"messages":[{"role":"system","content":"House."},{"role":"user","content":"Thanks."}]}`},
		{chatPath, `{"template":"hi"}`, `{"messages":[{"role":"system","content":"House."},{"role":"user","content":"Hi."},{"role":"user","content":"Thanks."}]}`},
	} {
		if got, refused := begin(t, f, test.path, test.body, "t", "plain"); refused != nil || got != test.want || !json.Valid([]byte(got)) {
			t.Errorf("%s %s: %v\ngot  %s\nwant %s", test.path, test.body, refused, got, test.want)
		}
	}
	for body, says := range map[string]string{
		`{"template":"s3cret"}`:                                           "there is no template of that name; there are: bare, code, hi",
		`{"template":["code"]}`:                                           "as a string",
		`{"template":"code","template":"bare"}`:                           "more than one member template",
		`{"Template":"code"}`:                                             "write it so",
		`{"template":"code"}`:                                             "needs the property language",
		`{"template":"code","properties":null}`:                           "needs the property language",
		`{"template":"code","properties":{"language":"s3cret"}}`:          "needs the property what",
		`{"template":"bare","properties":{"what":null}}`:                  "strings, numbers and booleans",
		`{"template":"bare","properties":{"what":["s3cret"]}}`:            "strings, numbers and booleans",
		`{"template":"bare","properties":"s3cret"}`:                       "strings, numbers and booleans",
		`{"template":"bare","properties":{"what":"a","wh\u0061t":"b"}}`:   "a member twice",
		`{"template":"bare","properties":{"what":"a"},"properties":{}}`:   "more than one member properties",
		`{"template":"bare","properties":{"what":"a"},"messages":"text"}`: "an array",
	} {
		got, refused := begin(t, f, chatPath, body, "t", "plain")
		if refused == nil || refused.Status != 400 || !strings.Contains(refused.Message, says) || strings.Contains(refused.Message, "s3cret") || got != body {
			t.Errorf("%s: %v, want %q, with %s", body, refused, says, got)
		}
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		file := filepath.Join(dir, fmt.Sprintf("%d.txt", len(text)))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	f := newFilter(t, map[string]*Definition{"p": {Append: []Message{{Role: RoleSystem, File: write("\n Legal.\n\xff\n")}}}})
	if got, refused := begin(t, f, messagesPath, `{}`, "p"); refused != nil || got != `{"system":"Legal.`+`\n`+"\uFFFD"+`"}` {
		t.Errorf("%v, sends %s", refused, got)
	}
	for file, says := range map[string]string{filepath.Join(dir, "none"): "no such file", write(" \n"): "is empty", write(strings.Repeat("x", maxFile+1)): "longer than 64 KiB"} {
		if _, err := New(map[string]*Definition{"p": {Prepend: []Message{{Role: RoleSystem, File: file}}}}); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "prompt p: prepend") {
			t.Errorf("%v, want %s", err, says)
		}
	}
}

func TestCheck(t *testing.T) {
	one := []Message{{Role: RoleUser, Content: "x"}}
	for _, test := range []struct {
		name string
		d    *Definition
		says string
	}{
		{"a b", &Definition{Prepend: one}, "is not the name of a prompt"},
		{"p", nil, "adds nothing"},
		{"p", &Definition{}, "adds nothing"},
		{"p", &Definition{Prepend: []Message{{Role: "tool", Content: "x"}}}, "the roles are: system, user, assistant"},
		{"p", &Definition{Append: []Message{{Role: RoleUser, Content: " "}}}, "append: a user message is empty"},
		{"p", &Definition{Append: []Message{{Role: RoleUser, Content: "x", File: "y"}}}, "both a text and a file"},
		{"p", &Definition{Templates: map[string][]Message{"": one}}, "is not the name of a template"},
		{"p", &Definition{Templates: map[string][]Message{"t": nil}}, "template t has no messages"},
		{"p", &Definition{Templates: map[string][]Message{"t": {{}}}}, "template t: there is no role"},
	} {
		if err := Check(test.name, test.d); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%v, want %s", err, test.says)
		}
	}
	f := newFilter(t, map[string]*Definition{"a": {Templates: map[string][]Message{"t": one}}, "b": {Templates: map[string][]Message{"t": one}}, "c": {Prepend: one}})
	for names, says := range map[string]string{"a c": "", "b": "", "": "", "a b": "both have a template t", "c c": "named twice", "d": "whose prompts are: a, b, c"} {
		if err := f.CheckNames(strings.Fields(names)); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", names, err, says)
		}
	}
	if err := newFilter(t, nil).CheckNames([]string{"a"}); err == nil || !strings.Contains(err.Error(), "whose prompts are: none") {
		t.Errorf("without prompts: %v", err)
	}
}

// TestLogs holds that the access log names the prompts that changed a request, and has no
// text of them.
func TestLogs(t *testing.T) {
	f := newFilter(t, house)
	for body, want := range map[string]string{`{"messages":[{"role":"user","content":"hi"}]}`: "ps, au", `{"messages":7}`: ""} {
		r, err := http.NewRequest(http.MethodPost, "http://localhost"+chatPath, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		in, _ := llmprovider.NewInbound(r)
		if refused := in.Read(r, llmprovider.DefaultMaxBody); refused != nil {
			t.Fatal(refused)
		}
		c := &filter.Call{Request: r, Inbound: in, Prompts: []string{"ps", "au"}}
		_, _ = f.Begin(t.Context(), c)
		in.Release()
		got := ""
		for _, field := range c.LogFields {
			got += field.String
		}
		if got != want {
			t.Errorf("%s: logged is %q, want %q", body, got, want)
		}
	}
}

// FuzzAdds holds that the body that is sent is one JSON object, with each member of the
// client's that has nothing to do with prompts as it was, and that what is refused is not
// changed.
func FuzzAdds(f *testing.F) {
	all := make(map[string]*Definition)
	for name, d := range house {
		all[name] = d
	}
	for name, d := range templates {
		all[name] = d
	}
	filter := newFilter(f, all)
	for i, body := range []string{
		`{"messages":[{"role":"user","content":"hi"}],"x":1.0}`, `{"input":"hi","instructions":"y"}`, `{"system":[{"type":"text","text":"x"}],"messages":[]}`,
		`{"systemInstruction":{"parts":{"text":"x"}},"contents":{}}`, `{"template":"bare","properties":{"what":"x"},"z":[]}`, `{}`, ` { } `, `{"a":{},"template":"hi"}`,
	} {
		f.Add(body, i)
	}
	paths := []string{chatPath, responsesPath, messagesPath, geminiPath}
	f.Fuzz(func(t *testing.T, body string, n int) {
		path := paths[uint(n)%4]
		got, refused := begin(t, filter, path, body, "ps", "as", "pu", "au", "t", "plain")
		if refused != nil {
			if got != body {
				t.Fatalf("refused, and changed: %s", got)
			}
			return
		}
		var before, after map[string]json.RawMessage
		if json.Unmarshal([]byte(body), &before) != nil {
			t.Skip()
		}
		if err := json.Unmarshal([]byte(got), &after); err != nil {
			t.Fatalf("%v: %s", err, got)
		}
		for name, value := range before {
			switch name {
			case "messages", "input", "instructions", "system", "systemInstruction", "system_instruction", "contents", "template", "properties":
				continue
			}
			if !bytes.Equal(after[name], value) {
				t.Errorf("%q is %s, was %s", name, after[name], value)
			}
		}
		if path != chatPath && !strings.Contains(got, "P\\\"1") || !strings.Contains(got, "House.") {
			t.Errorf("sends %s", got)
		}
	})
}
