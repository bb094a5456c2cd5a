package llmroute

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// storing is a provider that stores responses: bg was made in the background, and fg not.
func storing(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	id, rest, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/v1/responses"), "/"), "/")
	stored := fmt.Sprintf(`{"id":%q,"object":"response","background":%t,"model":"m","status":"completed",`+
		`"output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"the zebra"}]}],"usage":{"input_tokens":11,"output_tokens":85,"total_tokens":96}}`, id, id == "bg")
	switch {
	case r.Method == http.MethodPost && id == "":
		fmt.Fprint(w, `{"id":"bg","object":"response","background":true,"status":"queued","output":[],"usage":null}`)
	case r.Method == http.MethodDelete:
		fmt.Fprint(w, `{"id":"bg","object":"response.deleted","deleted":true}`)
	case rest == "input_items":
		fmt.Fprint(w, `{"object":"list","data":[{"type":"message","role":"user","content":[{"type":"input_text","text":"a zebra"}]}]}`)
	case r.URL.Query().Get("stream") == "true":
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"1\",\"output_index\":0,\"content_index\":0,\"delta\":\"the zebra\"}\n\n"+
			"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":%s}\n\n", stored)
	default:
		fmt.Fprint(w, stored)
	}
}

// call sends a request and returns the status and the body of its response.
func (g *gateway) call(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, g.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := g.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, _ := io.ReadAll(res.Body) // a stream that is cut ends in an error
	return res.StatusCode, string(got)
}

// TestStoredResponses holds what the provider gets of requests for stored responses, and
// that their usage is counted once, and only if it was not reported before.
func TestStoredResponses(t *testing.T) {
	u := newUpstream(t, storing)
	p := unique("p")
	g := newGateway(t, providers(p, u.provider(`"apis":{"responses":{}}`)), fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
	before := sumOf(t, g, "asm_llm_proxy_prompt_tokens")
	for _, test := range []struct {
		method, path, body, query, says string
		tokens                          float64
	}{
		{"POST", "/v1/responses", `{"model":"m","input":"x","background":true}`, "", "queued", 0},
		{"GET", "/v1/responses/fg", "", "", `"status":"completed"`, 0},
		{"GET", "/v1/responses/fg?stream=true", "", "stream=true", `"status":"completed"`, 0},
		{"GET", "/v1/responses/bg?stream=true&key=x", "", "stream=true", "the zebra", 11},
		{"GET", "/v1/responses/bg?include[]=a", "", "include%5B%5D=a", "the zebra", 11},
		{"POST", "/v1/responses/bg/cancel", "{}", "", "the zebra", 11},
		{"GET", "/v1/responses/bg/input_items?limit=3", "", "limit=3", "input_text", 11},
		{"DELETE", "/v1/responses/bg", "", "", "deleted", 11},
	} {
		status, body := g.call(t, test.method, test.path, test.body)
		if status != 200 || !strings.Contains(body, test.says) {
			t.Errorf("%s %s: %d %s", test.method, test.path, status, body)
			continue
		}
		path, _, _ := strings.Cut(test.path, "?")
		got := <-u.requests
		if sent := test.body; got.path != path || got.query != test.query || strings.Contains(path, "/bg") && got.body != "" || !strings.Contains(path, "/bg") && got.body != sent {
			t.Errorf("%s %s: the provider got %+v", test.method, test.path, got)
		}
		if n := sumOf(t, g, "asm_llm_proxy_prompt_tokens") - before; n != test.tokens {
			t.Errorf("%s %s: %v input tokens are counted, want %v", test.method, test.path, n, test.tokens)
		}
	}
	for path, allowed := range map[string]string{"/v1/responses/bg/cancel": "GET", "/v1/responses/bg/x": "GET", "/v1/responses/b%67": "GET", "/v1/responses/bg": "POST"} {
		if status, body := g.call(t, allowed, path, ""); status != 404 || u.count() != 0 {
			t.Errorf("%s %s: %d %s", allowed, path, status, body)
		}
	}
}

// TestGuardsOnStoredResponses holds that guards look at what is fetched as they do at what
// was asked for.
func TestGuardsOnStoredResponses(t *testing.T) {
	u := newUpstream(t, storing)
	p := unique("p")
	g := newGateway(t, guarded(`"policy":{"deny":[{"regex":"zebra"}],"on_response":{"stream":"window","window":16},"everything":true}`, p, u.provider(`"apis":{"responses":{}}`)),
		fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
	for _, test := range []struct{ method, path string }{
		{"GET", "/v1/responses/fg"}, {"GET", "/v1/responses/fg?stream=true"}, {"GET", "/v1/responses/fg/input_items"}, {"POST", "/v1/responses/fg/cancel"},
	} {
		if _, body := g.call(t, test.method, test.path, ""); strings.Contains(body, "zebra") || !strings.Contains(body, "guard policy denies") {
			t.Errorf("%s %s: %s", test.method, test.path, body)
		}
	}
	if status, body := g.call(t, "DELETE", "/v1/responses/fg", ""); status != 200 {
		t.Errorf("%d %s", status, body)
	}
}

// TestGuardsOfOtherRulesOnStoredResponses holds that a response cannot be fetched without the
// guards of the rule that it was made by, whichever takes the request.
func TestGuardsOfOtherRulesOnStoredResponses(t *testing.T) {
	u := newUpstream(t, storing)
	p, other := unique("p"), unique("other")
	const speaks = `"apis":{"responses":{}}`
	g := newGateway(t, guarded(`"policy":{"deny":[{"regex":"zebra"}],"on_response":{"stream":"whole"}}`, p, u.provider(speaks), other, u.provider(speaks)),
		fmt.Sprintf(`{"rules":[{"match":[{"llm_model":{"models":["m"]}}],"guards":["policy"],"backends":[{"provider":%q}]},
			{"match":[{"path":["/openai/*"]}],"backends":[{"provider":%q}]},{"backends":[{"provider":%[1]q}]}]}`, p, other))
	if _, body := g.call(t, "GET", "/v1/responses/fg", ""); strings.Contains(body, "zebra") || !strings.Contains(body, "guard policy denies") {
		t.Error(body)
	}
	if status, body := g.call(t, "GET", "/openai/v1/responses/fg", ""); status != 200 || !strings.Contains(body, "zebra") {
		t.Errorf("of a provider that no guard is for: %d %s", status, body)
	}
}

// TestStoredStateHasOneProvider holds which requests for what a provider has stored are
// refused.
func TestStoredStateHasOneProvider(t *testing.T) {
	u := newUpstream(t, storing)
	p, other, chat := unique("p"), unique("other"), unique("chat")
	app := providers(p, u.provider(`"apis":{"responses":{}}`), other, u.provider(`"apis":{"responses":{}}`), chat, u.provider(""))
	several := newGateway(t, app, fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q,"model":"a"},{"provider":%q}]}]}`, p, other))
	twice := newGateway(t, app, fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q,"model":"a"},{"provider":%q,"model":"b"}]}]}`, p, p))
	translated := newGateway(t, app, fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, chat))
	for _, test := range []struct {
		method, path, body string
		refused            bool
	}{
		{"GET", "/v1/responses/fg", "", true},
		{"DELETE", "/v1/responses/fg", "", true},
		{"POST", "/v1/responses/fg/cancel", "", true},
		{"POST", "/v1/responses", `{"input":"x","previous_response_id":"fg"}`, true},
		{"POST", "/v1/responses", `{"input":"x","conversation":{"id":"c"}}`, true},
		{"POST", "/v1/responses", `{"pro\u006dpt":{"id":"c"}}`, true},
		{"POST", "/v1/responses", `{"input":[{"role":"user","content":"x"},{"type":"item_reference","id":"i"}]}`, true},
		{"POST", "/v1/responses", `{"input":"x","Previous_Response_ID":"fg"}`, true},
		{"POST", "/v1/responses", `{"INPUT":[{"type":"item_reference","id":"i"}]}`, true},
		{"POST", "/v1/responses", `{"input":[{"Type":"item_reference","id":"i"}]}`, true},
		{"POST", "/v1/responses", `{"input":"x","previous_response_id":null}`, false},
		{"POST", "/v1/responses", `{"input":[{"role":"user","content":"item_reference"}]}`, false},
	} {
		status, body := several.call(t, test.method, test.path, test.body)
		if refused := status == 400 && strings.Contains(body, "stored_state_of_several_providers"); refused != test.refused || !refused && status != 200 {
			t.Errorf("%s %s %s: %d %s", test.method, test.path, test.body, status, body)
		}
		if status, body := twice.call(t, test.method, test.path, test.body); status != 200 {
			t.Errorf("one provider: %s %s %s: %d %s", test.method, test.path, test.body, status, body)
		}
	}
	if status, body := translated.call(t, "GET", "/v1/responses/fg", ""); status != 404 || !strings.Contains(body, "does not store responses") {
		t.Errorf("%d %s", status, body)
	}
}

// TestBackgroundIsLimited holds that limits of tokens and money take no request whose usage
// they would not learn of.
func TestBackgroundIsLimited(t *testing.T) {
	u := newUpstream(t, storing)
	for amount, refused := range map[string]bool{
		`"unit":"tokens","amount":50000`: true, `"unit":"output_tokens","amount":50000`: true, `"unit":"cost","amount":5`: true, `"unit":"requests","amount":5`: false,
	} {
		p := unique("p")
		g := newGateway(t, priced(t, limited(t, fmt.Sprintf(`{"name":%q,"amounts":[{%s,"window":"1h"}]}`, unique("l"), amount), p, u.provider(`"apis":{"responses":{}}`))),
			fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
		for _, member := range []string{`"background":true`, `"Background":true`, `"background":false,"back\u0067round":true`, `"background\u0000":true`} {
			status, body := g.call(t, "POST", "/v1/responses", `{"model":"m","input":"x",`+member+`}`)
			if got := status == 400 && strings.Contains(body, "background_unlimited"); got != refused || !refused && status != 200 {
				t.Errorf("%s: %s: %d %s", amount, member, status, body)
			}
		}
		if status, body := g.call(t, "GET", "/v1/responses/bg", ""); status != 200 {
			t.Errorf("%s: %d %s", amount, status, body)
		}
	}
}
