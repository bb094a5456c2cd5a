package translate_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/converse"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/translate"
)

func inboundOf(t *testing.T, path, body string) *llmprovider.Inbound {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	in, refused := llmprovider.NewInbound(r)
	if refused == nil {
		refused = in.Read(r, llmprovider.DefaultMaxBody)
	}
	if refused != nil {
		t.Fatal(refused)
	}
	return in
}

// TestFetchedMedia holds where media that clients give as URLs stand in the requests to APIs
// that take none, and that each URL is fetched once for all attempts.
func TestFetchedMedia(t *testing.T) {
	const (
		image = `https://a.test/i.png`
		chat  = `{"model":"m","top_k":1,"messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"` + image + `","detail":"low"}},` +
			`{"type":"image_url","image_url":{"url":"https:\/\/a.test/i.png"}}]}]}`
		message = `{"model":"m","max_tokens":5,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"url","url":"https://a.test/d"}}]},` +
			`{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]},` +
			`{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"image","source":{"type":"url","url":"` + image + `"}}]}]}]}`
		response = `{"model":"m","input":[{"role":"user","content":[{"type":"input_file","file_url":"https://a.test/d"}]}]}`
	)
	noURLs := &dialect.Profile{NoURLs: true}
	for _, test := range []struct {
		path, body string
		to         *dialect.API
		sent       []string
		fetched    int
	}{
		{"/v1/chat/completions", chat, gemini.API, []string{`{"inlineData":{"mimeType":"image/png","data":"AAAA"}},{"inlineData":{"mimeType":"image/png","data":"AAAA"}}`}, 1},
		{"/v1/chat/completions", chat, converse.API, []string{`{"image":{"format":"png","source":{"bytes":"AAAA"}}},{"image":`}, 1},
		{"/v1/chat/completions", chat, messages.API, []string{`"source":{"type":"base64","media_type":"image/png","data":"AAAA"}`}, 1},
		{"/v1/messages", message, gemini.API, []string{`{"text":"a \"b\""}`, `"inlineData":{"mimeType":"image/png","data":"AAAA"}`}, 2},
		{"/v1/messages", message, converse.API, []string{`"document":{"format":"txt","name":`, `"source":{"text":"a \"b\""}`, `"image":{"format":"png"`}, 2},
		{"/v1/responses", response, messages.API, []string{`{"type":"document","source":{"type":"text","media_type":"text/plain","data":"a \"b\""}`}, 1},
	} {
		var asked []dialect.Wanted
		target := &translate.Target{API: test.to, URL: new(url.URL), Profile: noURLs, Fetch: func(wanted []dialect.Wanted, hold func(int64) *llmprovider.Error) (map[dialect.Wanted]*dialect.Fetched, *llmprovider.Error) {
			asked = append(asked, wanted...)
			out := make(map[dialect.Wanted]*dialect.Fetched)
			for _, w := range wanted {
				if out[w] = (&dialect.Fetched{Type: "image/png", Data: []byte("AAAA")}); w.Kind == dialect.Document {
					out[w] = &dialect.Fetched{Type: "text/plain", Text: dialect.JSON(`"a \"b\""`)}
				}
				if w.Field == "" || strings.HasPrefix(w.Field, "other") {
					t.Errorf("%s has no field", w.URL)
				}
			}
			return out, hold(10)
		}}
		name := test.path + " for " + test.to.Name
		in := inboundOf(t, test.path, test.body)
		in.Budget = new(llmprovider.Budget)
		in.Budget.SetLimit(1 << 20)
		for range 2 {
			out := llmprovider.Outgoing{Model: "m"}
			if refused := translate.Request(in, llmprovider.Settings{}, target, &out); refused != nil {
				t.Fatalf("%s: %v", name, refused)
			}
			for _, sent := range test.sent {
				if !strings.Contains(string(out.Body), sent) {
					t.Errorf("%s: no %s in %s", name, sent, out.Body)
				}
			}
			if strings.Contains(string(out.Body), "a.test") {
				t.Errorf("%s: a URL is sent: %s", name, out.Body)
			}
		}
		if len(asked) != test.fetched {
			t.Errorf("%s: %v were fetched", name, asked)
		}
		if held := in.Budget.Held(); held != 10 {
			t.Errorf("%s: %d bytes are held", name, held)
		}
		if in.Release(); in.Budget.Held() != 0 {
			t.Errorf("%s: %d bytes are held after the request", name, in.Budget.Held())
		}

		// Nothing is fetched for a request that is refused, and none without permission.
		asked = nil
		in = inboundOf(t, test.path, strings.Replace(test.body, `{`, `{"unknown":1,`, 1))
		if refused := translate.Request(in, llmprovider.Settings{Strict: true}, target, &llmprovider.Outgoing{Model: "m"}); refused == nil || refused.Code != "translation_not_exact" {
			t.Errorf("%s, strict: %v", name, refused)
		}
		target.Fetch = nil
		in = inboundOf(t, test.path, test.body)
		if refused := translate.Request(in, llmprovider.Settings{}, target, &llmprovider.Outgoing{Model: "m"}); refused == nil || refused.Code != "untranslatable_field" || len(asked) != 0 {
			t.Errorf("%s, without permission: %v", name, refused)
		}
	}
}

// TestMediaThatGoOn holds that what needs no fetching is not fetched.
func TestMediaThatGoOn(t *testing.T) {
	for _, test := range []struct {
		body string
		to   *dialect.API
	}{
		{`{"type":"image_url","image_url":{"url":"https://a.test/i.png"}}`, messages.API}, // of a vendor that takes URLs
		{`{"type":"image_url","image_url":{"url":"gs://bucket/i.png"}}`, gemini.API},
		{`{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}`, gemini.API},
	} {
		in := inboundOf(t, "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":[`+test.body+`]}]}`)
		target := &translate.Target{API: test.to, URL: new(url.URL), Fetch: func([]dialect.Wanted, func(int64) *llmprovider.Error) (map[dialect.Wanted]*dialect.Fetched, *llmprovider.Error) {
			t.Errorf("%s is fetched", test.body)
			return nil, nil
		}}
		if refused := translate.Request(in, llmprovider.Settings{}, target, &llmprovider.Outgoing{Model: "m"}); refused != nil {
			t.Errorf("%s: %v", test.body, refused)
		}
	}
}
