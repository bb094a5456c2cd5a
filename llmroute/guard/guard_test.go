package guard

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/filter"
)

// inbound is a request that was read.
func inbound(t testing.TB, path, body string) *llmprovider.Inbound {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	in, refused := llmprovider.NewInbound(r)
	if refused == nil {
		refused = in.Read(r, 64<<20)
	}
	if refused != nil {
		t.Fatalf("%s %s: %v", path, body, refused)
	}
	t.Cleanup(in.Release)
	return in
}

// tryInbound is inbound for a request that may be refused.
func tryInbound(path, body string) (*llmprovider.Inbound, bool) {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	in, refused := llmprovider.NewInbound(r)
	return in, refused == nil && in.Read(r, 1<<20) == nil
}

// guarded has one guard look at a request, and returns the body after it.
func guarded(t testing.TB, d *Definition, path, body string) (after string, refused *llmprovider.Error, counted []string) {
	t.Helper()
	f, err := New(map[string]*Definition{"g": d}, zap.NewNop(), func(_, _ string, action Action, category string) {
		counted = append(counted, string(action)+" "+category)
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	in := inbound(t, path, body)
	_, refused = f.Begin(context.Background(), &filter.Call{Inbound: in, Guards: []string{"g"}})
	return string(in.Body()), refused, counted
}

const (
	chatPath      = "/v1/chat/completions"
	responsesPath = "/v1/responses"
	messagesPath  = "/v1/messages"
	geminiPath    = "/v1beta/models/m:generateContent"
)

// places are where a text can stand: X in each is the inside of a JSON string.
var places = map[string][]string{
	chatPath: {
		`{"messages":[{"role":"user","content":"X"}]}`,
		`{"messages":[{"role":"system","content":"X"}]}`,
		`{"messages":[{"role":"developer","content":[{"type":"text","text":"X"}]}]}`,
		`{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"X","cache_control":{"type":"ephemeral"}}]}]}`,
		`{"messages":[{"role":"assistant","content":null,"refusal":"X"}]}`,
		`{"messages":[{"role":"assistant","reasoning_content":"X"}]}`,
		`{"messages":[{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":\"XX\"}"}}]}]}`,
		`{"messages":[{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"XX\":1}"}}]}]}`,
		`{"messages":[{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":\"XX"}}]}]}`,
		`{"messages":[{"role":"assistant","tool_calls":[{"id":"c","type":"custom","custom":{"name":"f","input":"X"}}]}]}`,
		`{"messages":[{"role":"assistant","function_call":{"name":"f","arguments":"X"}}]}`,
		`{"messages":[{"role":"tool","tool_call_id":"c","content":"X"}]}`,
		`{"messages":[{"role":"tool","tool_call_id":"c","content":"{\"a\":[\"XX\"]}"}]}`,
		`{"messages":[{"role":"tool","tool_call_id":"c","content":[{"type":"text","text":"X"}]}]}`,
		`{"messages":[{"role":"function","name":"f","content":"X"}]}`,
		`{"messages":[{"role":"unheard-of","content":"X"}]}`,
		`{"messages":[{"content":"X"}]}`,
		`{"messages":[{"role":"user","name":"X","content":"a"}]}`,
		`{"messages":[{"role":"user","content":"a","unheard_of":{"b":["X"]}}]}`,
		`{"Messages":[{"Role":"user","Content":"X"}]}`,
		`{"messages":[{"role":"user","content":"a"}],"messages":[{"role":"user","content":"X"}]}`,
		`{"messages":[],"tools":[{"type":"function","function":{"name":"f","description":"X"}}]}`,
		`{"messages":[],"response_format":{"type":"json_schema","json_schema":{"schema":{"X":1}}}}`,
		`{"messages":[],"metadata":{"a":"X"}}`, `{"messages":[],"user":"X"}`, `{"messages":[],"prediction":{"type":"content","content":"X"}}`,
		`{"messages":{"role":"user","content":"X"}}`, `{"messages":"X"}`,
	},
	"/v1/completions":        {`{"prompt":"X"}`, `{"prompt":["a","X"]}`, `{"prompt":"a","suffix":"X"}`},
	"/v1/embeddings":         {`{"input":"X"}`, `{"input":["a","X"]}`},
	"/v1/images/generations": {`{"prompt":"X"}`},
	"/v1/rerank":             {`{"query":"X"}`, `{"query":"a","documents":["X"]}`, `{"query":"a","documents":[{"text":"X"}]}`},
	"/v1/moderations":        {`{"input":["X"]}`},
	responsesPath: {
		`{"input":"X"}`, `{"input":[{"role":"user","content":"X"}]}`, `{"instructions":"X","input":"a"}`,
		`{"instructions":[{"role":"developer","content":[{"type":"input_text","text":"X"}]}],"input":"a"}`,
		`{"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"X"}]}]}`,
		`{"input":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"X","annotations":[]}]}]}`,
		`{"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{\"a\":{\"b\":\"XX\"}}"}]}`,
		`{"input":[{"type":"custom_tool_call","call_id":"c","name":"f","input":"X"}]}`,
		`{"input":[{"type":"function_call_output","call_id":"c","output":"X"}]}`,
		`{"input":[{"type":"function_call_output","call_id":"c","output":"[\"XX\"]"}]}`,
		`{"input":[{"type":"function_call_output","call_id":"c","output":[{"type":"input_text","text":"X"}]}]}`,
		`{"input":[{"type":"reasoning","summary":[{"type":"summary_text","text":"X"}],"encrypted_content":"e"}]}`,
		`{"input":[{"type":"local_shell_call_output","id":"c","output":"X"}]}`,
		`{"input":"a","tools":[{"type":"function","name":"f","description":"X"}]}`,
		`{"input":"a","prompt":{"id":"p","variables":{"v":"X"}}}`,
	},
	messagesPath: {
		`{"system":"X","messages":[]}`, `{"system":[{"type":"text","text":"X"}],"messages":[]}`, `{"messages":[{"role":"user","content":"X"}]}`,
		`{"messages":[{"role":"user","content":[{"type":"text","text":"X"}]}]}`,
		`{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":{"a":["X"]}}]}]}`,
		`{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":{"X":null}}]}]}`,
		`{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"X","signature":"s"}]}]}`,
		`{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"X"}]}]}`,
		`{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"{\"a\":\"XX\"}"}]}]}`,
		`{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":[{"type":"text","text":"X"}]}]}]}`,
		`{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"X"}}]}]}`,
		`{"messages":[{"role":"user","content":[{"type":"document","title":"X","source":{"type":"content","content":"a"}}]}]}`,
		`{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"content","content":[{"type":"text","text":"X"}]}}]}]}`,
		`{"messages":[{"role":"user","content":[{"type":"search_result","source":"s","title":"t","content":[{"type":"text","text":"X"}]}]}]}`,
		`{"messages":[],"tools":[{"name":"f","description":"X"}]}`,
	},
	geminiPath: {
		`{"contents":[{"role":"user","parts":[{"text":"X"}]}]}`, `{"contents":[{"parts":[{"text":"X"}]}]}`, `{"contents":{"parts":{"text":"X"}}}`,
		`{"contents":[],"systemInstruction":{"role":"user","parts":[{"text":"X"}]}}`, `{"contents":[],"system_instruction":{"parts":[{"text":"X"}]}}`,
		`{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":{"a":"X"}}}]}]}`,
		`{"contents":[{"role":"model","parts":[{"function_call":{"name":"f","args":{"X":1}}}]}]}`,
		`{"contents":[{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"a":{"b":"X"}}}}]}]}`,
		`{"contents":[{"role":"model","parts":[{"text":"X","thought":true,"thoughtSignature":"s"}]}]}`,
		`{"contents":[{"role":"model","parts":[{"executableCode":{"language":"PYTHON","code":"X"}}]}]}`,
		`{"contents":[],"tools":[{"functionDeclarations":[{"name":"f","description":"X"}]}]}`,
	},
	"/v1beta/models/m:embedContent":       {`{"content":{"parts":[{"text":"X"}]}}`},
	"/v1beta/models/m:batchEmbedContents": {`{"requests":[{"content":{"parts":[{"text":"X"}]}}]}`},
	"/v1beta/models/m:countTokens":        {`{"contents":[{"parts":[{"text":"X"}]}]}`, `{"generateContentRequest":{"contents":[{"parts":[{"text":"X"}]}]}}`},
}

// in puts a text in a place: in XX twice escaped. every reports which characters are
// written as escapes.
func in(place, text string, every func(i int) bool) string {
	once := func(s string) string {
		var b strings.Builder
		for i, c := range s {
			switch {
			case c > 0xffff:
				c -= 0x10000
				writeEscape(&b, 0xd800+c>>10)
				writeEscape(&b, 0xdc00+c&0x3ff)
			case every(i) || c == '"' || c == '\\' || c < ' ':
				writeEscape(&b, c)
			default:
				b.WriteRune(c)
			}
		}
		return b.String()
	}
	place = strings.ReplaceAll(place, "XX", once(once(text)))
	return strings.ReplaceAll(place, "X", once(text))
}

func writeEscape(b *strings.Builder, c rune) {
	const hex = "0123456789abcdef"
	b.WriteString(`\u`)
	for shift := 12; shift >= 0; shift -= 4 {
		b.WriteByte(hex[c>>shift&15])
	}
}

// TestSeesAllPlaces holds that a guard sees the same text wherever it stands and however
// it is written, denies it, and masks it and nothing else.
func TestSeesAllPlaces(t *testing.T) {
	const secret = "caf\u00e9 \U0001F600 code-name \"zebra\""
	for path, list := range places {
		for _, place := range list {
			for name, every := range map[string]func(int) bool{
				"plain": func(int) bool { return false }, "escaped": func(int) bool { return true }, "mixed": func(i int) bool { return i%3 == 1 },
			} {
				body := in(place, "before "+secret+" after", every)
				_, refused, _ := guarded(t, &Definition{Deny: []Pattern{{Regex: `CAF\x{c9} \x{1F600} code-name "zebra"`}}, Unreadable: UnreadableOpen}, path, body)
				if refused != nil {
					t.Errorf("%s %s: denied in another case", path, body)
				}
				_, refused, counted := guarded(t, &Definition{Deny: []Pattern{{Regex: `(?i)CAF\x{c9} \x{1F600} code-NAME "zebra"`, As: "names"}}}, path, body)
				if refused == nil || refused.Status != 403 || refused.Code != "content_policy" || strings.Join(counted, ",") != "deny names" {
					t.Errorf("%s, %s: not denied: %s (%v, %v)", path, name, body, refused, counted)
					continue
				}
				if message := string(refused.JSON()); strings.Contains(message, "zebra") || !strings.Contains(message, "guard g") || !strings.Contains(message, "names") {
					t.Errorf("message %s", message)
				}
				after, refused, counted := guarded(t, &Definition{Mask: []Pattern{{Regex: secret, As: "name"}}}, path, body)
				want := strings.ReplaceAll(in(place, "before \x00 after", every), `\u0000`, "[NAME]")
				if name != "plain" || strings.Contains(place, "XX") {
					want = "" // compared by what stands outside
				}
				if refused != nil || len(counted) != 1 || want != "" && after != want || strings.Count(after, "[NAME]") != 1 {
					t.Errorf("%s, %s: masked to %s, want %s (%v)", path, name, after, want, refused)
					continue
				}
				head, tail, _ := strings.Cut(after, "[NAME]")
				if !strings.HasPrefix(body, head) || !strings.HasSuffix(body, tail) {
					t.Errorf("%s, %s: more than the secret has changed: %s from %s", path, name, after, body)
				}
				if _, refused, _ := guarded(t, &Definition{Deny: []Pattern{{Regex: "zebra"}}}, path, after); refused != nil {
					t.Errorf("%s, %s: there is still something in %s", path, name, after)
				}
			}
		}
	}
}

// TestJoined holds that text parts of one message are seen as one text, and those of
// different messages are not.
func TestJoined(t *testing.T) {
	const word = "internal codename"
	forms := map[string]string{
		chatPath:      `{"messages":[{"role":"user","content":[{"type":"text","text":"AB"},{"type":"text","text":"CD"}]}]}`,
		responsesPath: `{"input":[{"role":"user","content":[{"type":"input_text","text":"AB"},{"type":"input_text","text":"CD"}]}]}`,
		messagesPath:  `{"messages":[{"role":"user","content":[{"type":"tool_result","content":[{"type":"text","text":"AB"},{"type":"text","text":"CD"}]}]}]}`,
		geminiPath:    `{"contents":[{"parts":[{"text":"AB","thoughtSignature":"x"},{"text":"CD"}]}]}`,
	}
	for path, form := range forms {
		for i := range len(word) + 1 {
			body := strings.Replace(strings.Replace(form, "AB", "the "+word[:i], 1), "CD", word[i:]+" of it", 1)
			if _, refused, _ := guarded(t, &Definition{Deny: []Pattern{{Regex: word}}}, path, body); refused == nil {
				t.Errorf("%s: not denied: %s", path, body)
			}
			after, _, _ := guarded(t, &Definition{Mask: []Pattern{{Regex: word, As: "w"}}}, path, body)
			if want := strings.Replace(strings.Replace(form, "AB", "the [W]", 1), "CD", " of it", 1); i > 0 && after != want {
				t.Errorf("%s: masked to %s, want %s", path, after, want)
			}
			if i > 0 { // each by itself
				if _, refused, _ := guarded(t, &Definition{Deny: []Pattern{{Regex: "^" + word[i:] + " of it$"}}}, path, body); refused == nil {
					t.Errorf("%s: not seen by itself: %s", path, body)
				}
			}
		}
	}
	apart := `{"messages":[{"role":"user","content":"internal "},{"role":"user","content":"codename"}]}`
	if _, refused, _ := guarded(t, &Definition{Deny: []Pattern{{Regex: `internal.codename`}, {Regex: `(?s)internal.{0,2}codename`}}}, chatPath, apart); refused != nil {
		t.Error("messages are joined")
	}
}

// TestUnreadable holds that what cannot be read as text is denied, and is passed and
// counted if the guard is open.
func TestUnreadable(t *testing.T) {
	for _, test := range []struct{ path, body, says string }{
		{chatPath, `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]}`, "an image"},
		{chatPath, `{"messages":[{"role":"user","content":[{"type":"text","text":"a","image_url":{"url":"https://a.example/b"}}]}]}`, "an image"},
		{chatPath, `{"messages":[{"role":"user","content":[{"type":"text","type":"image_url","text":"a"}]}]}`, "unknown"},
		{chatPath, `{"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AAAA"}}]}]}`, "a sound"},
		{chatPath, `{"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"f"}}]}]}`, "a file"},
		{chatPath, `{"messages":[{"role":"user","content":[{"type":"video_url","video_url":{"url":"u"}}]}]}`, "a video"},
		{chatPath, `{"messages":[{"role":"user","content":[{"type":"unheard_of","text":"a"}]}]}`, "unknown"},
		{chatPath, `{"messages":[{"role":"user","content":[{"unheard_of":"a"}]}]}`, "unknown"},
		{chatPath, `{"messages":[{"role":"user","content":"a","images":["AAAA"]}]}`, "an image"},
		{chatPath, `{"messages":[{"role":"assistant","audio":{"id":"a"}}]}`, "a sound"},
		{chatPath, `{"messages":[{"role":"user","content":[[1,2]]}]}`, "tokens"},
		{"/v1/completions", `{"prompt":[1,2,3]}`, "tokens"},
		{"/v1/completions", `{"prompt":[[1,2,3]]}`, "tokens"},
		{"/v1/embeddings", `{"input":[[1,2]]}`, "tokens"},
		{"/v1/detokenize", `{"tokens":[1,2]}`, "tokens"},
		{responsesPath, `{"input":[{"role":"user","content":[{"type":"input_image","image_url":"https://a.example/b"}]}]}`, "an image"},
		{responsesPath, `{"input":[{"role":"user","content":[{"type":"input_file","file_id":"f"}]}]}`, "a file"},
		{responsesPath, `{"input":[{"type":"image_generation_call","result":"AAAA"}]}`, "an image"},
		{responsesPath, `{"input":[{"type":"computer_call_output","output":{"type":"computer_screenshot","image_url":"data:a"}}]}`, "an image"},
		{responsesPath, `{"input":[{"type":"unheard_of"}]}`, "unknown"},
		{messagesPath, `{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","data":"AAAA"}}]}]}`, "an image"},
		{messagesPath, `{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","data":"AAAA"}}]}]}`, "a document"},
		{messagesPath, `{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","data":"a"},"source":{"type":"base64","data":"AAAA"}}]}]}`, "a document"},
		{messagesPath, `{"messages":[{"role":"user","content":[{"type":"tool_result","content":[{"type":"image","source":{"type":"url","url":"u"}}]}]}]}`, "an image"},
		{messagesPath, `{"messages":[{"role":"user","content":[{"type":"container_upload","file_id":"f"}]}]}`, "a file"},
		{geminiPath, `{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}]}`, "a file"},
		{geminiPath, `{"contents":[{"parts":[{"text":"a"},{"file_data":{"file_uri":"u"}}]}]}`, "a file"},
		{geminiPath, `{"contents":[{"role":"user","parts":[{"functionResponse":{"name":"f","response":{},"parts":[{"inlineData":{"data":"AAAA"}}]}}]}]}`, "a file"},
		{messagesPath, `{"messages":[{"role":"user","content":` + strings.Repeat(`[{"type":"tool_result","content":`, 9) + `"a"` + strings.Repeat(`}]`, 9) + `}]}`, "too deep"},
	} {
		d := &Definition{Deny: []Pattern{{Regex: "nothing of the kind"}}}
		_, refused, counted := guarded(t, d, test.path, test.body)
		if refused == nil || refused.Code != "content_policy" || !strings.Contains(refused.Message, test.says) || strings.Join(counted, "") != "deny unreadable" {
			t.Errorf("%s: %v, want %s", test.body, refused, test.says)
		}
		d.Unreadable = UnreadableOpen
		after, refused, counted := guarded(t, d, test.path, test.body)
		if refused != nil || after != test.body || strings.Join(counted, "") != "pass unreadable" {
			t.Errorf("%s: open: %v, %v", test.body, refused, counted)
		}
	}
	form := httptest.NewRequest(http.MethodPost, "/v1/audio/transcriptions", strings.NewReader("--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b--\r\n"))
	form.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	in, refused := llmprovider.NewInbound(form)
	if refused == nil {
		refused = in.Read(form, 1<<20)
	}
	if refused != nil {
		t.Fatal(refused)
	}
	f, _ := New(map[string]*Definition{"g": {Deny: []Pattern{{Regex: "x"}}, Everything: true}}, zap.NewNop(), func(string, string, Action, string) {}, nil)
	if _, refused = f.Begin(context.Background(), &filter.Call{Inbound: in}); refused == nil || !strings.Contains(refused.Message, "a form") {
		t.Errorf("a form: %v", refused)
	}
}

// TestOrdinaryRequests holds that what agents send is readable.
func TestOrdinaryRequests(t *testing.T) {
	for path, bodies := range map[string][]string{
		chatPath: {
			`{"model":"m","stream":true,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":""}],"temperature":0.5,"logit_bias":{"50256":-100}}`,
		},
		responsesPath: {
			`{"model":"m","input":[{"type":"reasoning","id":"r","summary":[],"encrypted_content":"` + strings.Repeat("gAAA", 200) + `"},{"type":"item_reference","id":"i"},{"id":"i","type":"function_call","call_id":"c","name":"f","arguments":"{}","status":"completed"}],"include":["reasoning.encrypted_content"],"store":false}`,
		},
		messagesPath: {
			`{"model":"m","max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"redacted_thinking","data":"AAAA"},{"type":"thinking","thinking":"","signature":"s"},{"type":"text","text":"a","citations":[]}]}],"thinking":{"type":"enabled","budget_tokens":1024}}`,
		},
		geminiPath: {`{"contents":[{"role":"model","parts":[{"thoughtSignature":"s","functionCall":{"id":"1","name":"f","args":{}}},{}]}],"generationConfig":{"stopSequences":["a"]}}`},
	} {
		for _, body := range bodies {
			d := &Definition{Deny: []Pattern{{Regex: "nothing of the kind"}}, Mask: []Pattern{{Builtin: "email"}, {Builtin: "phone"}, {Builtin: "card"}, {Builtin: "iban"}, {Builtin: "ssn"}}}
			if after, refused, counted := guarded(t, d, path, body); refused != nil || after != body || counted != nil {
				t.Errorf("%s: %v, %v", body, refused, counted)
			}
		}
	}
}

// TestData holds that base64 is skipped where data belongs, and that nothing that could
// be read passes for it.
func TestData(t *testing.T) {
	d := &Definition{Deny: []Pattern{{Regex: "zebra"}}, Unreadable: UnreadableOpen}
	blob := strings.Repeat("AAAA", 100)
	for form, denied := range map[string]bool{
		`{"messages":[{"role":"user","content":"` + blob + `zebra"}]}`:                                                                  true,
		`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,` + blob + `zebra"}}]}]}`: false,
		`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA zebra"}}]}]}`:        true,
		`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:zebra"}}]}]}`:                              true,
		`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a.example/zebra"}}]}]}`:                 true,
		`{"messages":[{"role":"user","content":"a","note":"` + blob + ` zebra"}]}`:                                                      true,
		`{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","data":"` + blob + `zebra"}}]}]}`:            true,
		`{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"a","signature":"` + blob + `zebra"}]}]}`:            false,
		`{"messages":[{"role":"assistant","content":[{"type":"redacted_thinking","data":"` + blob + `zebra"}]}]}`:                       false,
		`{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"a","signature":"zebra"}]}]}`:                        true,
	} {
		if _, refused, _ := guarded(t, d, messagesPath, form); (refused != nil) != denied {
			t.Errorf("%s: %v", form, refused)
		}
	}
	after, _, counted := guarded(t, &Definition{Mask: []Pattern{{Builtin: "card"}}}, chatPath, `{"seed":4111111111111111,"messages":[{"role":"tool","content":"{\"n\":4111111111111111}"}],"metadata":{"n":4111111111111111}}`)
	if want := `{"seed":4111111111111111,"messages":[{"role":"tool","content":"{\"n\":\"[CARD]\"}"}],"metadata":{"n":"[CARD]"}}`; after != want {
		t.Errorf("numbers: %s, %v", after, counted)
	}
}

func TestRolesLogStatusOrder(t *testing.T) {
	const body = `{"messages":[{"role":"system","content":"one"},{"role":"user","content":[{"type":"text","text":"two"},{"type":"image_url"}]},{"role":"tool","content":"three"}],"user":"four"}`
	for _, test := range []struct {
		role, word string
		denied     bool
	}{
		{"system", "one", true}, {"user", "one", false}, {"user", "three", false}, {"tool", "three", true}, {"other", "four", true}, {"assistant", "four", false},
	} {
		_, refused, _ := guarded(t, &Definition{Deny: []Pattern{{Regex: test.word}}, Roles: []string{test.role}, Unreadable: UnreadableOpen, Status: 451}, chatPath, body)
		if (refused != nil) != test.denied || refused != nil && refused.Status != 451 {
			t.Errorf("%s of %s: %v", test.word, test.role, refused)
		}
	}
	after, refused, counted := guarded(t, &Definition{Deny: []Pattern{{Regex: "one"}}, Mask: []Pattern{{Regex: "two", As: "w"}}, Log: true}, chatPath, body)
	if refused != nil || after != body || strings.Join(counted, ", ") != "log unreadable, log regex, log w" {
		t.Errorf("log: %v, %v", refused, counted)
	}
	f, err := New(map[string]*Definition{
		"first": {Mask: []Pattern{{Regex: "two", As: "w"}}, Everything: true, Unreadable: UnreadableOpen}, "second": {Deny: []Pattern{{Regex: `two`}}, Unreadable: UnreadableOpen},
	}, zap.NewNop(), func(string, string, Action, string) {}, nil)
	if err != nil {
		t.Fatal(err)
	}
	call := &filter.Call{Inbound: inbound(t, chatPath, body), Guards: []string{"second", "first"}}
	if _, refused := f.Begin(context.Background(), call); refused != nil || strings.Count(string(call.Inbound.Body()), "[W]") != 1 {
		t.Errorf("order: %v, %s", refused, call.Inbound.Body())
	}
	if len(call.LogFields) != 4 || call.LogFields[2].String != "pass, mask" {
		t.Errorf("log fields %v", call.LogFields)
	}
}
