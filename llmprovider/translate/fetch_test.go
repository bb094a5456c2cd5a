package translate_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
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

type fetch = func([]dialect.Wanted, func(int64) *llmprovider.Error) (map[dialect.Wanted]*dialect.Fetched, *llmprovider.Error)

func fetches(f fetch) *dialect.FetchMedia { return &dialect.FetchMedia{MaxSize: 100, Fetch: f} }

// TestMuchMedia holds that what a client names over and over, or too much of, is refused
// before it is fetched, or before it is written.
func TestMuchMedia(t *testing.T) {
	part := func(url string) string { return `{"type":"image_url","image_url":{"url":"` + url + `"}}` }
	several := func(n int, url func(i int) string) string {
		var parts []string
		for i := range n {
			parts = append(parts, part(url(i)))
		}
		return `{"model":"m","messages":[{"role":"user","content":[` + strings.Join(parts, ",") + `]}]}`
	}
	same := func(int) string { return "https://a.test/i.png" }
	other := func(i int) string { return "https://a.test/" + strconv.Itoa(i) }
	for _, test := range []struct {
		body    string
		size    int64
		fetched int
		want    string
	}{
		{several(dialect.MaxUses, same), 5, 1, ""},
		{several(dialect.MaxUses, other), 5, dialect.MaxUses, ""},
		{several(dialect.MaxUses, same), 6, 1, "more than 100 bytes"},
		{several(dialect.MaxUses+1, same), 1, 0, "more than 20 URLs"},
		{several(5_000, other), 1, 0, "more than 20 URLs"},
	} {
		for _, to := range []*dialect.API{gemini.API, converse.API, messages.API} {
			fetched := 0
			in := inboundOf(t, "/v1/chat/completions", test.body)
			target := &translate.Target{API: to, URL: new(url.URL), Profile: &dialect.Profile{NoURLs: true}, Fetch: fetches(func(wanted []dialect.Wanted, _ func(int64) *llmprovider.Error) (map[dialect.Wanted]*dialect.Fetched, *llmprovider.Error) {
				out := make(map[dialect.Wanted]*dialect.Fetched)
				for _, w := range wanted {
					fetched++
					out[w] = &dialect.Fetched{Type: "image/png", Data: []byte("AAAA"), Size: test.size}
				}
				return out, nil
			})}
			out := llmprovider.Outgoing{Model: "m"}
			refused := translate.Request(in, llmprovider.Settings{}, target, &out)
			if fetched != test.fetched || (refused == nil) != (test.want == "") || refused != nil && (refused.Code != "media_not_accepted" || !strings.Contains(refused.Message, test.want)) {
				t.Errorf("%s, %d bytes of body: %d fetched, %v, want %q", to.Name, len(test.body), fetched, refused, test.want)
			}
		}
	}
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
		target := &translate.Target{API: test.to, URL: new(url.URL), Profile: noURLs, Fetch: fetches(func(wanted []dialect.Wanted, hold func(int64) *llmprovider.Error) (map[dialect.Wanted]*dialect.Fetched, *llmprovider.Error) {
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
		})}
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
		target := &translate.Target{API: test.to, URL: new(url.URL), Fetch: fetches(func([]dialect.Wanted, func(int64) *llmprovider.Error) (map[dialect.Wanted]*dialect.Fetched, *llmprovider.Error) {
			t.Errorf("%s is fetched", test.body)
			return nil, nil
		})}
		if refused := translate.Request(in, llmprovider.Settings{}, target, &llmprovider.Outgoing{Model: "m"}); refused != nil {
			t.Errorf("%s: %v", test.body, refused)
		}
	}
}
