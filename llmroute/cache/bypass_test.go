package cache

import (
	"strings"
	"testing"
)

// TestBypass holds which requests are not cached, and why.
func TestBypass(t *testing.T) {
	const (
		chat      = "/v1/chat/completions"
		responses = "/v1/responses"
		messages  = "/v1/messages"
		gemini    = "/v1beta/models/m:generateContent"
	)
	part := func(part string) string { return `{"messages":[{"role":"user","content":[` + part + `]}]}` }
	for _, test := range []struct {
		path, body string
		want       reason
	}{
		{chat, `{"messages":[{"role":"user","content":"hi"}]}`, none},
		{chat, `{"messages":[],"temperature":0.5}`, none},
		{chat, `{"messages":[],"temperature":0.6}`, byTemperature},
		{chat, `{"messages":[],"temperature":0.1,"temper\u0061ture":0.6}`, byTemperature},
		{chat, `{"messages":[],"temperature":"hot"}`, byTemperature},
		{chat, `{"messages":[],"n":2}`, none},
		{chat, `{"messages":[],"store":true}`, byStored},
		{chat, `{"messages":[],"store":null}`, none},
		{chat, `{"messages":[],"st\u006fre":true}`, byStored},
		{chat, `{"messages":[],"store":false,"Store":true}`, byStored},
		{responses, `{"input":"x"}`, byStored},
		{responses, `{"input":"x","store":null}`, byStored},
		{responses, `{"input":"x","store":false}`, none},
		{responses, `{"input":"x","store":false,"background":true}`, byState},
		{responses, `{"input":"x","store":false,"background":false}`, none},
		{responses, `{"input":"x","store":false,"previous_response_id":"a"}`, byState},
		{responses, `{"input":"x","store":false,"previous_response_id":null}`, none},
		{responses, `{"input":"x","store":false,"conversation":{"id":"a"}}`, byState},
		{responses, `{"store":false,"prompt":{"id":"a"}}`, byState},
		{responses, `{"store":false,"input":[{"type":"item_reference","id":"a"}]}`, byMedia},
		{responses, `{"store":false,"input":[{"type":"message","role":"user","content":[{"type":"input_file","file_id":"a"}]}]}`, byMedia},
		{responses, `{"store":false,"input":[{"type":"message","role":"user","content":[{"type":"input_image","file_id":"a"}]}]}`, byMedia},
		{responses, `{"store":false,"input":[{"type":"message","role":"user","content":[{"type":"input_image","image_url":"https://a/b.png"}]}]}`, byMedia},
		{responses, `{"store":false,"input":[{"type":"message","role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,aa"}]}]}`, none},
		{responses, `{"store":false,"input":[{"type":"function_call","arguments":"{\"file_id\":1}"},{"type":"function_call_output","output":"x"}]}`, none},
		{responses, `{"store":false,"input":[{"type":"function_call_output","output":[{"type":"input_file","file_data":"x"}]}]}`, byMedia},
		{responses, `{"store":false,"input":"x","tools":[{"type":"web_search"}]}`, byTools},
		{responses, `{"store":false,"input":"x","tools":[{"type":"mcp","server_url":"x"}]}`, byTools},
		{responses, `{"store":false,"input":"x","tools":[{"type":"function","name":"f"},{"type":"custom","name":"g"}]}`, none},
		{chat, `{"messages":[],"tools":[{"type":"function","function":{"name":"f","parameters":{"properties":{"url":{"type":"string"},"file_id":{"type":"string"}}}}}]}`, none},
		{chat, `{"messages":[],"tools":[{"type":"function"},{"type":"code_interpreter"}]}`, byTools},
		{chat, `{"messages":[],"tools":[{"type":"function","typ\u0065":"web_search"}]}`, byTools},
		{chat, `{"messages":[],"web_search_options":{}}`, byTools},
		{chat, `{"messages":[],"modalities":["text","audio"],"audio":{"voice":"x"}}`, byMedia},
		{chat, part(`{"type":"text","text":"hi"}`), none},
		{chat, part(`{"type":"image_url","image_url":{"url":"data:image/png;base64,aa"}}`), none},
		{chat, part(`{"type":"image_url","image_url":{"url":"http://a/b"}}`), byMedia},
		{chat, part(`{"type":"image_url","image_url":{"url":"htt\u0070s://a/b"}}`), byMedia},
		{chat, part(`{"type":"image_url","image_url":"https://a/b"}`), byMedia},
		{chat, part(`{"type":"image_url","image_url":{"url":"gs://a/b"}}`), byMedia},
		{chat, part(`{"type":"input_audio","input_audio":{"data":"aa"}}`), byMedia},
		{chat, part(`{"type":"file","file":{"file_id":"a"}}`), byMedia},
		{chat, part(`{"ty\u0070e":"file","file":{}}`), byMedia},
		{chat, `{"messages":[{"role":"assistant","audio":{"id":"a"}}]}`, byMedia},
		{chat, `{"messages":[{"role":"assistant","audio":null,"content":"x","annotations":[{"type":"url_citation","url_citation":{"url":"https://a"}}]}]}`, none},
		{chat, `{"messages":` + strings.Repeat("[", 100) + `{"type":"file"}` + strings.Repeat("]", 100) + `}`, byMedia},
		{messages, `{"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`, none},
		{messages, `{"max_tokens":9,"messages":[],"tools":[{"name":"f","input_schema":{}},{"type":"bash_20250124","name":"bash"}]}`, none},
		{messages, `{"max_tokens":9,"messages":[],"tools":[{"type":"web_search_20250305","name":"web_search"}]}`, byTools},
		{chat, `{"messages":[],"tools":[{"type":"bash_20250124","name":"bash"}]}`, byTools},
		{messages, `{"max_tokens":9,"messages":[],"mcp_servers":[{"url":"x"}]}`, byTools},
		{messages, `{"max_tokens":9,"messages":[],"container":"a"}`, byState},
		{messages, `{"max_tokens":9,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"a"}}]}]}`, byMedia},
		{messages, `{"max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://a"}}]}]}`, byMedia},
		{messages, `{"max_tokens":9,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"aa"}}]}]}`, none},
		{messages, `{"max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{"url":"https://a","file_id":"b"}}]}]}`, none},
		{gemini, `{"contents":[{"parts":[{"text":"hi"}]}]}`, none},
		{gemini, `{"contents":[{"parts":[{"fileData":{"fileUri":"a"}}]}]}`, byMedia},
		{gemini, `{"contents":[{"parts":[{"file_data":{"file_uri":"a"}}]}]}`, byMedia},
		{gemini, `{"contents":[{"parts":[{"inlineData":{"mimeType":"audio/wav","data":"aa"}}]}]}`, byMedia},
		{gemini, `{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"aa"}}]}]}`, none},
		{gemini, `{"contents":[],"tools":[{"functionDeclarations":[]}]}`, none},
		{gemini, `{"contents":[],"tools":[{"googleSearch":{}}]}`, byTools},
		{gemini, `{"contents":[],"tools":[{"functionDeclarations":[],"codeExecution":{}}]}`, byTools},
		{gemini, `{"contents":[],"cachedContent":"cachedContents/a"}`, byState},
		{gemini, `{"contents":[],"generationConfig":{"temperature":0.9}}`, byTemperature},
		{gemini, `{"contents":[],"generationConfig":{"responseModalities":["AUDIO"]}}`, byMedia},
		{"/v1/embeddings", `{"input":"x"}`, none},
		{"/v1/rerank", `{"query":"x","documents":["a"]}`, none},
		{"/v1/images/generations", `{"prompt":"x"}`, byOperation},
		{"/v1/audio/speech", `{"input":"x"}`, byOperation},
	} {
		bound := 0.5
		a := usual(Client)
		a.target, a.body = test.path, test.body
		if !strings.Contains(test.body, "emper") {
			bound = 1
		}
		if got := bypass(&Config{MaxTemperature: &bound}, Client, a.made(t)); got != test.want {
			t.Errorf("%s %s: %q, want %q", test.path, test.body, got, test.want)
		}
	}
	low := 0.0
	if got := bypass(&Config{MaxTemperature: &low}, Client, usual(Client).made(t)); got != byTemperature {
		t.Errorf("without a temperature: %q", got)
	}
}

// TestIdentity holds which requests have what a scope needs.
func TestIdentity(t *testing.T) {
	for _, test := range []struct {
		scope  Scope
		change func(a *asked)
		want   bool
	}{
		{Client, func(*asked) {}, true},
		{Client, func(a *asked) { a.claims = nil }, true},
		{Client, func(a *asked) { a.call.Client.Name = "" }, true},
		{Client, func(a *asked) { a.call.Client.Name, a.claims = "", nil }, false},
		{Client, func(a *asked) { a.call.Client.Name, a.claims["sub"] = "", []string{""} }, false},
		{Client, func(a *asked) { a.call.Client.Name, a.claims["sub"] = "", nil }, false},
		{Workload, func(*asked) {}, true},
		{Workload, func(a *asked) { a.call.Workload = "" }, false},
		{Route, func(a *asked) { a.call.Client.Name, a.claims = "", nil }, true},
		{Everyone, func(a *asked) { a.call.Client.Name, a.claims = "", nil }, true},
		{"", func(*asked) {}, false},
	} {
		a := usual(test.scope)
		test.change(a)
		if got := identified(test.scope, a.made(t)); got != test.want {
			t.Errorf("%s: %+v: %v", test.scope, a.call.Client, got)
		}
	}
}
