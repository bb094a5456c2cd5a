package guard

import (
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmroute/guard/decide"
)

func TestCheck(t *testing.T) {
	webhook := &decide.Webhook{URL: "http://127.0.0.1:9000", Format: decide.FormatLiteLLM}
	for _, test := range []struct {
		d    Definition
		says string
	}{
		{Definition{}, "looks for nothing"},
		{Definition{Deny: []Pattern{{Builtin: "passport"}}}, "there are: email, phone, card, iban, ssn"},
		{Definition{Deny: []Pattern{{Regex: "s3cret("}}}, "not one that Go takes: missing closing )"},
		{Definition{Deny: []Pattern{{Regex: "(?=s3cret)"}}}, "not one that Go takes"},
		{Definition{Deny: []Pattern{{Regex: "a*"}}}, "matches empty text"},
		{Definition{Deny: []Pattern{{}}}, "empty"},
		{Definition{Deny: []Pattern{{Regex: strings.Repeat("s", 5000)}}}, "longer than"},
		{Definition{Mask: []Pattern{{Regex: "a"}}}, "as WORD"},
		{Definition{Mask: []Pattern{{Regex: "a", As: `"`}}}, "letters, digits"},
		{Definition{Mask: []Pattern{{Builtin: "email", As: "x"}}}, "one of both"},
		{Definition{Deny: []Pattern{{Regex: "a"}}, Roles: []string{"boss"}}, "the roles are"},
		{Definition{Deny: []Pattern{{Regex: "a"}}, Unreadable: "maybe"}, "closed or open"},
		{Definition{Deny: []Pattern{{Regex: "a"}}, Status: 200}, "from 400 to 499"},
		{Definition{Deny: []Pattern{{Regex: "a"}}, Parallel: true}, "this one asks none"},
		{Definition{Mask: []Pattern{{Builtin: "email"}}, Webhook: webhook, Parallel: true}, "cannot mask"},
		{Definition{Webhook: webhook, OnResponse: &OnResponse{Stream: StreamWhole}, Parallel: true}, "write on_request"},
	} {
		err := Check("g", &test.d)
		if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%+v: %v, want %s", test.d, err, test.says)
		}
	}
	if err := Check("a b", &Definition{Deny: []Pattern{{Regex: "a"}}}); err == nil {
		t.Error("a name with a space")
	}
}
