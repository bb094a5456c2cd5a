package translated_test

import (
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"testing"

	"google.golang.org/genai"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// asked is a question in Google's terms.
func asked() []*genai.Content {
	return []*genai.Content{genai.NewContentFromText(`When does it turn? 潮水 <&> "then"`, genai.RoleUser)}
}

func system() *genai.GenerateContentConfig {
	return &genai.GenerateContentConfig{SystemInstruction: genai.NewContentFromText("You watch the tide.", genai.RoleUser)}
}

// answered is what a client keeps of a response, or of all parts of a streamed one.
type answered struct {
	content genai.Content
	text    string
	thought string
	calls   []*genai.FunctionCall
	finish  genai.FinishReason
	usage   *genai.GenerateContentResponseUsageMetadata
	model   string
}

func (a *answered) add(t *testing.T, res *genai.GenerateContentResponse) {
	t.Helper()
	if a.finish != "" && len(res.Candidates) > 0 && res.Candidates[0].Content != nil {
		t.Errorf("content after the finish reason: %+v", res.Candidates[0])
	}
	a.model = res.ModelVersion
	if res.UsageMetadata != nil {
		a.usage = res.UsageMetadata
	}
	if len(res.Candidates) == 0 {
		return
	}
	candidate := res.Candidates[0]
	if candidate.FinishReason != "" {
		a.finish = candidate.FinishReason
	}
	if candidate.Content == nil {
		return
	}
	if candidate.Content.Role != genai.RoleModel {
		t.Errorf("role %q", candidate.Content.Role)
	}
	a.content.Role = genai.RoleModel
	for _, part := range candidate.Content.Parts {
		switch {
		case part.FunctionCall != nil:
			a.calls = append(a.calls, part.FunctionCall)
		case part.Thought:
			a.thought += part.Text
		default:
			a.text += part.Text
		}
		a.content.Parts = append(a.content.Parts, part)
	}
}

// generate asks, for a stream or not, and reads to the end.
func generate(t *testing.T, client *genai.Client, streamed bool, contents []*genai.Content, config *genai.GenerateContentConfig) (*answered, error) {
	t.Helper()
	a := new(answered)
	if !streamed {
		res, err := client.Models.GenerateContent(t.Context(), "gemini-3-pro", contents, config)
		if err == nil {
			a.add(t, res)
		}
		return a, err
	}
	next, stop := iter.Pull2(client.Models.GenerateContentStream(t.Context(), "gemini-3-pro", contents, config))
	defer stop()
	for {
		res, err, ok := next()
		if err != nil || !ok {
			if err == nil && a.finish == "" {
				t.Error("the stream ended without a finish reason and without an error")
			}
			return a, err
		}
		a.add(t, res)
	}
}

func TestGeminiFromAllVendors(t *testing.T) {
	s, url := serve(t)
	client := gemini(t, url)
	reasons := map[string]genai.FinishReason{
		"stop": "STOP", "eos": "STOP", "length": "MAX_TOKENS", "model_length": "MAX_TOKENS", "tool_calls": "STOP", "function_call": "STOP", "content_filter": "SAFETY",
	}
	for _, f := range completions(t) {
		for _, streamed := range []bool{true, false} {
			t.Run(f.ID+map[bool]string{true: " streamed", false: ""}[streamed], func(t *testing.T) {
				s.Script(fakeprovider.Always(f.Reply()))
				a, err := generate(t, client, streamed, asked(), system())
				if f.Want.StreamError || f.Name == "error-in-200.json" {
					if err == nil {
						t.Errorf("no error: %+v", a)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if f.Want.Content != "" && a.text != f.Want.Content {
					t.Errorf("text %q, want %q", a.text, f.Want.Content)
				}
				if want := reasons[f.Want.FinishReason]; f.Want.FinishReason != "" && a.finish != want {
					t.Errorf("finish reason %q, want %q for %q", a.finish, want, f.Want.FinishReason)
				}
				if a.model != "gemini-3-pro" {
					t.Errorf("model %q", a.model)
				}
				if u, got := f.Want.Usage, a.usage; u != nil && (got == nil || int64(got.PromptTokenCount) != u.Prompt || int64(got.CandidatesTokenCount+got.ThoughtsTokenCount) != u.Completion ||
					int64(got.CachedContentTokenCount) != u.Cached || int64(got.ThoughtsTokenCount) != u.Reasoning || int64(got.TotalTokenCount) != u.Prompt+u.Completion) {
					t.Errorf("usage %+v, want %+v", got, u)
				}
				sent(t, s)
			})
		}
	}
}

// Two functions are called at once; results go back by id or, as older clients do, by
// name and order alone.
func TestGeminiTools(t *testing.T) {
	const tide, wind = `{"zone":12345678901234567890,"harbour":"caf\u00e9 \/ 潮","x":1.0}`, `{}`
	s, url := serve(t)
	client := gemini(t, url)
	quote := func(text string) string { q, _ := json.Marshal(text); return string(q) }
	call := func(i, id, name, arguments string) string {
		return `{"index":` + i + `,"id":"` + id + `","type":"function","function":{"name":"` + name + `","arguments":` + quote(arguments) + `}}`
	}
	first := map[bool]fakeprovider.Reply{
		false: completion("tool_calls", `{"role":"assistant","content":null,"tool_calls":[`+call("0", "call_1", "get_tide", tide)+`,`+call("1", "call_2", "get_wind", wind)+`]}`),
		true: chunks("tool_calls", `{"role":"assistant","content":null}`, `{"tool_calls":[`+call("0", "call_1", "get_tide", "")+`]}`,
			`{"tool_calls":[{"index":0,"function":{"arguments":`+quote(tide[:9])+`}}]}`, `{"tool_calls":[{"index":0,"function":{"arguments":`+quote(tide[9:])+`}}]}`,
			`{"tool_calls":[`+call("1", "call_2", "get_wind", "")+`]}`),
	}
	config := system()
	config.Tools = []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{
		{Name: "get_tide", Description: "the tide", ParametersJsonSchema: json.RawMessage(tideSchema)},
		{Name: "get_wind", Parameters: &genai.Schema{Type: genai.TypeObject, Properties: map[string]*genai.Schema{"station": {Type: genai.TypeString, Enum: []string{"a", "b"}, Nullable: genai.Ptr(true)}}, Required: []string{"station"}}},
	}}}
	config.ToolConfig = &genai.ToolConfig{FunctionCallingConfig: &genai.FunctionCallingConfig{Mode: genai.FunctionCallingConfigModeAny}}
	for _, streamed := range []bool{false, true} {
		for _, withIDs := range []bool{true, false} {
			s.Script(fakeprovider.Sequence(first[streamed], completion("stop", `{"role":"assistant","content":"At six."}`), chunks("stop", `{"content":"At six."}`)))
			a, err := generate(t, client, streamed, asked(), config)
			if err != nil {
				t.Fatal(err)
			}
			if len(a.calls) != 2 || a.calls[0].Name != "get_tide" || a.calls[0].Args["harbour"] != "café / 潮" || a.calls[1].Name != "get_wind" || len(a.calls[1].Args) != 0 || a.finish != "STOP" {
				t.Fatalf("%v %+v", a.finish, a.content.Parts)
			}
			before := sent(t, s)
			if got := at(t, before.Body, "tools", 0, "function", "parameters"); !sameJSON(got, tideSchema) { // the SDK writes it anew
				t.Errorf("schema %s", got)
			}
			if got := at(t, before.Body, "tools", 1, "function", "parameters"); !sameJSON(got, `{"type":"object","properties":{"station":{"type":["string","null"],"enum":["a","b",null]}},"required":["station"]}`) &&
				!sameJSON(got, `{"type":"object","properties":{"station":{"type":["string","null"],"enum":["a","b"]}},"required":["station"]}`) {
				t.Errorf("Google's schema became %s", got)
			}
			if got := at(t, before.Body, "tool_choice"); got != `"required"` {
				t.Errorf("tool choice %s", got)
			}

			results := &genai.Content{Role: genai.RoleUser}
			for i, c := range a.calls {
				result := &genai.FunctionResponse{ID: c.ID, Name: c.Name, Response: map[string]any{"output": []string{"3.20", "wind"}[i]}}
				if !withIDs {
					result.ID, c.ID = "", ""
				}
				results.Parts = append(results.Parts, &genai.Part{FunctionResponse: result})
			}
			contents := append(asked(), &a.content, results)
			if a, err = generate(t, client, streamed, contents, config); err != nil {
				t.Fatal(err)
			}
			if a.text != "At six." {
				t.Errorf("text %q", a.text)
			}
			after := sent(t, s)
			extends(t, before, after)
			for i := range 2 {
				id := at(t, after.Body, "messages", 2, "tool_calls", i, "id")
				if got := at(t, after.Body, "messages", 3+i, "tool_call_id"); got != id || len(id) < 3 || withIDs && id != []string{`"call_1"`, `"call_2"`}[i] {
					t.Errorf("result %d is of %s, the call was %s", i, got, id)
				}
				if got := at(t, after.Body, "messages", 3+i, "content"); !strings.Contains(got, []string{"3.20", "wind"}[i]) {
					t.Errorf("result %d: %s", i, got)
				}
			}
		}
	}
}

// What the provider thought is a thought for the client.
func TestGeminiReasoning(t *testing.T) {
	s, url := serve(t)
	client := gemini(t, url)
	config := system()
	config.ThinkingConfig = &genai.ThinkingConfig{IncludeThoughts: true, ThinkingBudget: genai.Ptr[int32](2000)}
	for _, streamed := range []bool{false, true} {
		s.Script(fakeprovider.Sequence(map[bool]fakeprovider.Reply{
			false: completion("stop", `{"role":"assistant","reasoning_content":"The tide\n\"turns\".","content":"At six."}`),
			true:  chunks("stop", `{"reasoning":"The tide\n"}`, `{"reasoning":"\"turns\"."}`, `{"content":"At "}`, `{"content":"six."}`),
		}[streamed]))
		a, err := generate(t, client, streamed, asked(), config)
		if err != nil || a.thought != "The tide\n\"turns\"." || a.text != "At six." {
			t.Errorf("%v %+v", err, a)
		}
		if u := a.usage; u == nil || u.ThoughtsTokenCount != 7 || u.CandidatesTokenCount != 13 || u.PromptTokenCount != 100 || u.CachedContentTokenCount != 64 || u.TotalTokenCount != 120 {
			t.Errorf("usage %+v", u)
		}
		before := sent(t, s)
		contents := append(asked(), &a.content, genai.NewContentFromText("Sure?", genai.RoleUser))
		if _, err := generate(t, client, streamed, contents, config); err != nil {
			t.Fatal(err)
		}
		after := sent(t, s)
		extends(t, before, after)
		if got := at(t, after.Body, "messages", 2, "content"); got != `"At six."` && !strings.Contains(got, "six.") || strings.Contains(got, "turns") {
			t.Errorf("the turn came back as %s", got)
		}
	}
}

func TestGeminiImagesAndStructure(t *testing.T) {
	s, url := serve(t)
	client := gemini(t, url)
	config := system()
	config.ResponseMIMEType, config.ResponseJsonSchema = "application/json", json.RawMessage(tideSchema)
	config.Temperature, config.MaxOutputTokens, config.StopSequences, config.Seed = genai.Ptr[float32](0), 77, []string{"END"}, genai.Ptr[int32](0)
	s.Script(fakeprovider.Always(completion("stop", `{"role":"assistant","content":"{\"a\":\"b\"}"}`)))
	contents := []*genai.Content{genai.NewContentFromParts([]*genai.Part{genai.NewPartFromText("What is it?"), genai.NewPartFromBytes([]byte("\x89PNG\r\n\x1a\n"), "image/png")}, genai.RoleUser)}
	a, err := generate(t, client, false, contents, config)
	if err != nil || a.text != `{"a":"b"}` {
		t.Fatal(a, err)
	}
	body := sent(t, s).Body
	for _, c := range []struct {
		want string
		path []any
	}{
		{`"data:image/png;base64,iVBORw0KGgo="`, []any{"messages", 1, "content", 1, "image_url", "url"}},
		{tideSchema, []any{"response_format", "json_schema", "schema"}},
		{`["END"]`, []any{"stop"}}, {`0`, []any{"temperature"}}, {`0`, []any{"seed"}},
	} {
		if got := at(t, body, c.path...); got != c.want && !sameJSON(got, c.want) {
			t.Errorf("%v is %s, want %s", c.path, got, c.want)
		}
	}
	if !strings.Contains(string(body), `tokens":77`) {
		t.Errorf("no cap in %s", body)
	}
}

func geminiError(t *testing.T, err error) genai.APIError {
	t.Helper()
	var typed genai.APIError
	if !errors.As(err, &typed) {
		t.Fatalf("got %T %v, want an error of the API", err, err)
	}
	return typed
}

func TestGeminiErrors(t *testing.T) {
	s, url := serve(t)
	client := gemini(t, url)
	const overloaded = `{"error":{"message":"The server is overloaded","type":"server_error","code":"overloaded"}}`
	for _, c := range []struct {
		reply  fakeprovider.Reply
		status int
		word   string
	}{
		{fakeprovider.JSON(400, `{"error":{"message":"bad request","type":"invalid_request_error"}}`), 400, "INVALID_ARGUMENT"},
		{fakeprovider.JSON(401, `{"error":{"message":"bad key","type":"invalid_request_error","code":"invalid_api_key"}}`), 401, "UNAUTHENTICATED"},
		{fakeprovider.JSON(403, `{"error":{"message":"not yours","type":"permission_error"}}`), 403, "PERMISSION_DENIED"},
		{fakeprovider.JSON(404, `{"error":{"message":"no such model","code":"model_not_found"}}`), 404, "NOT_FOUND"},
		{fakeprovider.JSON(429, `{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}`).WithHeader("Retry-After", "7"), 429, "RESOURCE_EXHAUSTED"},
		{fakeprovider.JSON(500, `{"error":{"message":"it broke","type":"server_error"}}`), 500, "INTERNAL"},
		{fakeprovider.Bytes(502, "text/html", []byte("<html>Bad gateway</html>")), 502, ""},
		{fakeprovider.JSON(503, overloaded), 503, "UNAVAILABLE"},
		{fakeprovider.JSON(529, overloaded), 503, "UNAVAILABLE"},
	} {
		for _, streamed := range []bool{false, true} {
			s.Script(fakeprovider.Always(c.reply))
			_, err := generate(t, client, streamed, asked(), nil)
			if e := geminiError(t, err); e.Code != c.status || c.word != "" && e.Status != c.word || len(e.Message) < 5 {
				t.Errorf("%d: got %+v", c.status, e)
			}
		}
	}
	const event = `data: {"id":"a","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"The tide "},"finish_reason":null}]}` + "\n\n"
	for name, reply := range map[string]fakeprovider.Reply{
		"an error first":      fakeprovider.SSE("data: " + overloaded + "\n\n"),
		"an error in between": fakeprovider.SSE(event, "data: "+overloaded+"\n\n"),
		"cut":                 fakeprovider.SSE(event).Then(fakeprovider.Close()),
		"ended early":         fakeprovider.SSE(event),
		"empty":               fakeprovider.SSE(),
		"no choices":          fakeprovider.JSON(200, `{"choices":[]}`),
	} {
		for _, streamed := range []bool{false, true} {
			s.Script(fakeprovider.Always(reply))
			_, err := generate(t, client, streamed, asked(), nil)
			if err == nil {
				t.Errorf("%s, streamed %v: no error", name, streamed)
				continue
			}
			if e := geminiError(t, err); e.Code < 400 || e.Status == "" || len(e.Message) < 5 {
				t.Errorf("%s, streamed %v: %+v", name, streamed, e)
			}
		}
	}
	s.Script(fakeprovider.Always(fakeprovider.SSE(event).Then(fakeprovider.Hang())))
	next, stop := iter.Pull2(client.Models.GenerateContentStream(t.Context(), "m", asked(), nil))
	if res, err, ok := next(); !ok || err != nil || res.Text() != "The tide " {
		t.Errorf("%+v %v", res, err)
	}
	stop()
	s.WaitCancelled(1, patience)

	count := s.Count()
	if _, err := client.Models.CountTokens(t.Context(), "m", asked(), nil); err == nil {
		t.Error("no error of :countTokens")
	} else if e := geminiError(t, err); e.Code != 404 || e.Status != "NOT_FOUND" {
		t.Errorf("%+v", e)
	}
	if s.Count() != count {
		t.Error("the provider was asked")
	}
}
