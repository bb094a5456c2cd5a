package tap

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/caddy-llm/gateway/internal/jsontest"
	"github.com/caddy-llm/gateway/llmprovider"
)

// tapJSON passes doc through a tap in pieces of the given size.
func tapJSON(doc string, size int) (llmprovider.Usage, *jsonTap) {
	var usage usageReader
	tap := &jsonTap{usage: &usage}
	buf := make([]byte, size)
	for len(doc) > 0 {
		n := copy(buf, doc)
		tap.write(buf[:n])
		for i := range buf {
			buf[i] = '"' // the next read overwrites it
		}
		doc = doc[n:]
	}
	return usage.Usage, tap
}

// asGjson is what gjson finds in the whole document.
func asGjson(doc string) llmprovider.Usage {
	var usage usageReader
	usage.readUsage([]byte(gjson.Get(doc, "usage").Raw))
	usage.setModel([]byte(gjson.Get(doc, "model").Raw))
	usage.setFinish(llmprovider.ShortText([]byte(gjson.Get(doc, "status").Raw)))
	if choices := gjson.Get(doc, "choices"); choices.IsArray() {
		if first := choices.Get("0"); first.IsObject() {
			usage.setFinish(llmprovider.ShortText([]byte(first.Get("finish_reason").Raw)))
		}
	}
	return usage.Usage
}

func TestJSONTapReads(t *testing.T) {
	const counts = `{"prompt_tokens":11,"completion_tokens":85,"total_tokens":96}`
	counted := llmprovider.Usage{Known: true, PromptTokens: 11, CompletionTokens: 85}
	for _, test := range []struct {
		name, doc string
		want      llmprovider.Usage
	}{
		{"a chat completion", `{"id":"x","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":` + counts + `}`, llmprovider.Usage{Known: true, PromptTokens: 11, CompletionTokens: 85, Model: "m", FinishReason: "stop"}},
		{"usage first", `{"usage":` + counts + `,"model":"m"}`, llmprovider.Usage{Known: true, PromptTokens: 11, CompletionTokens: 85, Model: "m"}},
		{"white space", "\r\n{ \"usage\"\t: {\n \"prompt_tokens\" : 11 ,\"completion_tokens\": 85 } , \"choices\" : [ { \"finish_reason\" : \"stop\" } ] }\n", llmprovider.Usage{Known: true, PromptTokens: 11, CompletionTokens: 85, FinishReason: "stop"}},
		{"details", `{"usage":{"prompt_tokens":9,"prompt_tokens_details":{"audio_tokens":0,"cached_tokens":7},"completion_tokens":8,"completion_tokens_details":{"reasoning_tokens":6}}}`, llmprovider.Usage{Known: true, PromptTokens: 9, CompletionTokens: 8, CachedTokens: 7, ReasoningTokens: 6}},
		{"an embedding", `{"object":"list","data":[{"embedding":[0.1,-2e-3],"index":0}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}`, llmprovider.Usage{Known: true, PromptTokens: 8, Model: "e"}},
		{"a response", `{"status":"completed","model":"m","output":[{"status":"x"}],"usage":{"input_tokens":1,"output_tokens":2}}`, llmprovider.Usage{Known: true, PromptTokens: 1, CompletionTokens: 2, Model: "m", FinishReason: "completed"}},
		{"a status before choices", `{"status":"ok","choices":[{"finish_reason":"length"}]}`, llmprovider.Usage{FinishReason: "length"}},
		{"a status after choices", `{"choices":[{"finish_reason":"length"}],"status":"ok"}`, llmprovider.Usage{FinishReason: "length"}},
		{"the first of two choices", `{"choices":[{"finish_reason":"stop"},{"finish_reason":"length"}]}`, llmprovider.Usage{FinishReason: "stop"}},
		{"a first choice without a reason", `{"choices":[{"finish_reason":null},{"finish_reason":"length"}]}`, llmprovider.Usage{}},
		{"a reason deeper in a choice", `{"choices":[{"message":{"finish_reason":"x"},"a":[{"finish_reason":"y"}]}]}`, llmprovider.Usage{}},
		{"a list of objects after empty choices", `{"choices":null,"data":[{"finish_reason":"x"}]}`, llmprovider.Usage{}},
		{"choices that are no list", `{"choices":{"0":{"finish_reason":"x"}}}`, llmprovider.Usage{}},
		{"choices in choices", `{"choices":[[{"finish_reason":"x"}]]}`, llmprovider.Usage{}},
		{"usage deeper", `{"a":{"usage":` + counts + `},"choices":[{"usage":` + counts + `}],"b":[{"usage":` + counts + `}]}`, llmprovider.Usage{}},
		{"usage in an event's place", `{"response":{"usage":` + counts + `,"model":"m"}}`, llmprovider.Usage{}},
		{"usage in text", `{"a":"\"usage\":` + strings.ReplaceAll(counts, `"`, `\"`) + `","b":"}","usage":null}`, llmprovider.Usage{}},
		{"a value named usage", `{"a":"usage","b":` + counts + `}`, llmprovider.Usage{}},
		{"usage of another type", `{"usage":"12"}`, llmprovider.Usage{}},
		{"usage as a list", `{"usage":[` + counts + `]}`, llmprovider.Usage{}},
		{"longer names", `{"usage2":` + counts + `,"xusage":` + counts + `,"usage ":` + counts + `}`, llmprovider.Usage{}},
		{"very long names", `{"` + strings.Repeat("usage", 100) + `":` + counts + `}`, llmprovider.Usage{}},
		{"a long name that ends in usage", `{"` + strings.Repeat("x", maxName-6) + `usage":1,"` + strings.Repeat("x", maxName) + `usage":` + counts + `}`, llmprovider.Usage{}},
		{"escaped names", `{"\u0075\u0073\u0061\u0067\u0065":` + counts + `,"mode\u006c":"m","choices":[{"finish\u005freason":"stop"}]}`, llmprovider.Usage{Known: true, PromptTokens: 11, CompletionTokens: 85, Model: "m", FinishReason: "stop"}},
		{"escapes in values", `{"model":"a\"\\\u002d\n","choices":[{"finish_reason":"st\u006fp"}]}`, llmprovider.Usage{Model: "a\"\\-\n", FinishReason: "stop"}},
		{"a string that ends in backslashes", `{"a":"\\","b":"\\\\","c":"\\\"","usage":` + counts + `}`, counted},
		{"an empty document", `{}`, llmprovider.Usage{}},
		{"a list", `[{"usage":` + counts + `},"usage",` + counts + `]`, llmprovider.Usage{}},
		{"text", `"usage"`, llmprovider.Usage{}},
		{"a number", `12`, llmprovider.Usage{}},
		{"nothing", ``, llmprovider.Usage{}},
		{"a second document", `{"model":"m"}{"usage":` + counts + `}`, llmprovider.Usage{Model: "m"}},
		{"usage that is too long", `{"usage":{"x":"` + strings.Repeat("x", maxCaptured) + `","prompt_tokens":1},"model":"m"}`, llmprovider.Usage{Model: "m"}},
		{"a model that is too long", `{"model":"` + strings.Repeat("x", 257) + `"}`, llmprovider.Usage{}},
		{"closed before it opens", `}{"usage":` + counts + `}`, llmprovider.Usage{}},
		{"cut off", `{"usage":` + counts, llmprovider.Usage{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, size := range pieceSizes(len(test.doc)) {
				if got, _ := tapJSON(test.doc, size); got != test.want {
					t.Errorf("pieces of %d: read %+v, want %+v", size, got, test.want)
				}
			}
		})
	}
}

func TestJSONTapCutInsideEscapes(t *testing.T) {
	for _, text := range []string{`\\`, `\"`, `\\\\`, `\\\"`, `\"\\`, `\\\\\"x`, `\u0022\\`, `\\"`[:2] + `\"`, `a\\b\"c\\`} {
		for _, doc := range []string{`{"a":"` + text + `","usage":{"prompt_tokens":1}}`, `{"` + text + `":"usage","usage":{"prompt_tokens":1,"x":"` + text + `"}}`} {
			for size := 1; size <= len(doc); size++ {
				if got, tap := tapJSON(doc, size); got.PromptTokens != 1 || !tap.complete() {
					t.Errorf("pieces of %d: read %+v, whole %v in %s", size, got, tap.complete(), doc)
				}
			}
		}
	}
}

func TestJSONTapTellsWhetherTheDocumentIsWhole(t *testing.T) {
	doc := `{"a":["}",{"b":"\"}"}],"usage":{}}`
	for n := range doc {
		if _, tap := tapJSON(doc[:n], 5); tap.complete() {
			t.Errorf("whole after %q", doc[:n])
		}
	}
	for _, whole := range []string{doc, doc + " \n", `[]`, `[{}]`, doc + doc} {
		if _, tap := tapJSON(whole, 5); !tap.complete() {
			t.Errorf("%q is not whole", whole)
		}
	}
	for _, odd := range []string{`}`, `]`, ``, `12`} {
		if _, tap := tapJSON(odd, 5); tap.complete() {
			t.Errorf("%q is whole", odd)
		}
	}
}

func TestJSONTapOfLargeAnswersKeepsLittle(t *testing.T) {
	for _, test := range []struct{ name, head, unit, tail string }{
		{"text", `{"choices":[{"message":{"content":"`, `a\"b`, `"},"finish_reason":"stop"}]`},
		{"numbers", `{"data":[{"embedding":[0`, `,-0.0123456`, `]}]`},
		{"members", `{"a":1`, `,"b":"c"`, ``},
		{"a name", `{"`, `usage`, `":1`},
		{"nesting", `{"a":`, `[`, `1`},
		{"a value that is captured", `{"model":"`, `x`, `"`},
		{"a value that is captured, nested", `{"usage":{"x":1`, `,"x":{"y":[1]}`, `}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := (2 << 20) / len(test.unit)
			closing := ""
			if test.name == "nesting" {
				closing = strings.Repeat("]", n)
			}
			doc := test.head + strings.Repeat(test.unit, n) + test.tail + closing + `,"usage":{"prompt_tokens":3,"completion_tokens":4}}`
			usage, tap := tapJSON(doc, 8<<10)
			if usage.PromptTokens != 3 || usage.CompletionTokens != 4 || !tap.complete() {
				t.Errorf("read %+v, whole %v", usage, tap.complete())
			}
			if kept := cap(tap.kept) + cap(tap.name); kept > 3*maxCaptured {
				t.Errorf("%d bytes are kept", kept)
			}
		})
	}
}

func TestUsageNumbers(t *testing.T) {
	for raw, want := range map[string]llmprovider.Usage{
		`{"prompt_tokens":1,"completion_tokens":2}`:                         {Known: true, PromptTokens: 1, CompletionTokens: 2},
		`{"prompt_tokens":1}`:                                               {Known: true, PromptTokens: 1},
		`{"completion_tokens":2}`:                                           {Known: true, CompletionTokens: 2},
		`{"prompt_tokens":0,"completion_tokens":0}`:                         {Known: true},
		`{"prompt_tokens":null,"completion_tokens":2}`:                      {Known: true, CompletionTokens: 2},
		`{"prompt_tokens":1.0,"completion_tokens":2e1}`:                     {Known: true, PromptTokens: 1, CompletionTokens: 20},
		`{"prompt_tokens":1,"prompt_cache_hit_tokens":1}`:                   {Known: true, PromptTokens: 1, CachedTokens: 1},
		`{"prompt_tokens":1,"prompt_tokens_details":null}`:                  {Known: true, PromptTokens: 1},
		`{"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":"x"}}`: {Known: true, PromptTokens: 1},
		fmt.Sprintf(`{"prompt_tokens":%d}`, int64(maxTokens)):               {Known: true, PromptTokens: maxTokens},
		fmt.Sprintf(`{"prompt_tokens":%d}`, int64(maxTokens)+1):             {},
		`{"prompt_tokens":-1,"completion_tokens":2}`:                        {Known: true, CompletionTokens: 2},
		`{"prompt_tokens":1e999}`:                                           {},
		`{"prompt_tokens":"1"}`:                                             {},
		`{"total_tokens":3}`:                                                {},
		`{}`:                                                                {},
		`null`:                                                              {},
		`[{"prompt_tokens":1}]`:                                             {},
		``:                                                                  {},
	} {
		var got usageReader
		if got.readUsage([]byte(raw)); got.Usage != want {
			t.Errorf("%s: read %+v, want %+v", raw, got.Usage, want)
		}
		after := usageReader{Usage: llmprovider.Usage{Model: "m", FinishReason: "stop"}}
		after.readUsage([]byte(`{"prompt_tokens":7}`))
		before := after.Usage
		after.readUsage([]byte(raw))
		if !want.Known && after.Usage != before {
			t.Errorf("%s: changed what was known to %+v", raw, after.Usage)
		}
		if after.Model != "m" || after.FinishReason != "stop" {
			t.Errorf("%s: took away the model or the finish reason", raw)
		}
	}
}

func FuzzTap(f *testing.F) {
	for _, seed := range []string{
		`{"id":"x","model":"m","choices":[{"index":0,"message":{"content":"\\\""},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1}}}`,
		`{"usage":{"input_tokens":1},"status":"completed","model":null,"choices":[]}`, `[{"usage":{}}]`, `{"us\u0061ge":{"prompt_tokens":1},"a":{"usage":1}}`,
		`{"choices":[{"finish_reason":{}},{"finish_reason":"x"}],"model":["a"]}`, `{"choices":[[],{}],"choices2":[{"finish_reason":"a"}]}`, `{"a":"\ud800\\","usage":[]} `,
	} {
		f.Add([]byte(seed), uint8(1), uint16(len(seed)))
		f.Add([]byte(seed), uint8(5), uint16(len(seed)/2))
	}
	f.Fuzz(func(t *testing.T, data []byte, size uint8, cut uint16) {
		doc := string(data)
		got, tap := tapJSON(doc, int(size)+1)
		if !json.Valid(data) {
			return // read somehow, as long as it does no harm
		}
		for _, part := range []string{doc, doc[:min(int(cut), len(doc))]} {
			pieces, piecesTap := tapJSON(part, int(size)+1)
			whole, wholeTap := tapJSON(part, len(part)+1)
			if pieces != whole || piecesTap.complete() != wholeTap.complete() {
				t.Fatalf("in pieces %+v (%v), in one %+v (%v)", pieces, piecesTap.complete(), whole, wholeTap.complete())
			}
		}
		pairs, isObject := jsontest.Members(data)
		if !isObject || len(data) > maxCaptured || hasDuplicates(data) {
			return
		}
		if choices, ok := jsontest.Find(pairs, "choices"); ok {
			if first := gjson.Get(choices, "0"); first.IsObject() && hasDuplicates([]byte(first.Raw)) {
				return
			}
		}
		if !tap.complete() {
			t.Fatalf("%q is not whole", doc)
		}
		if want := asGjson(doc); got != want {
			t.Fatalf("read %+v, gjson %+v in %q", got, want, doc)
		}
	})
}
