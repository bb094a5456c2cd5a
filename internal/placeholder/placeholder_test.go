package placeholder

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestRefuse(t *testing.T) {
	for value, want := range map[string]string{
		"{env.NS}":          "o: the placeholder {env.NS} is not replaced here; write the value itself, or in a Caddyfile {$NS},",
		"a-{env.NS}-b":      "{env.NS}",
		"{env.NS:x}":        "{$NS:x}",
		"{file./etc/x}":     "in a Caddyfile {$NAME},",
		"{system.hostname}": "{system.hostname}", "{time.now}": "{time.now}", "{http.request.host}": "{http.request.host}", "{vars.x}": "{vars.x}",
		"{$NS}": "o: {$NS} is replaced only in Caddyfiles", "{$NS:default}": "only in Caddyfiles",
		"{*}": "", "/v1/{**}": "", "{}": "", "/etc/{a,b}": "", `{"keys":[{"kty":"RSA"}]}`: "", "plain": "", "": "", "{$}": "", "[0-9]{2}$": "",
	} {
		err := Refuse("o", value)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %s", value, err, want)
		}
	}
}

type inner struct {
	Deep []map[string]*string `json:"deep,omitempty"`
}

type outer struct {
	inner
	Text   string            `json:"text"`
	Map    map[string]string `json:"map"`
	Nested *inner            `json:"nested"`
	Raw    json.RawMessage   `json:"raw"`
	Free   string            `json:"free"`
	Own    string            `json:"-"`
	own    string
}

func TestRefuseIn(t *testing.T) {
	bad := "{env.X}"
	for option, config := range map[string]*outer{
		"text": {Text: bad}, "map": {Map: map[string]string{bad: "a"}}, "deep": {inner: inner{Deep: []map[string]*string{{"a": nil}, {"a": &bad}}}},
		"deep ": {Nested: &inner{Deep: []map[string]*string{{"a": &bad}}}},
		"":      {Raw: json.RawMessage(bad), Free: bad, Own: bad, own: bad},
	} {
		err := RefuseIn(config, "free")
		if option = strings.TrimSpace(option); option == "" && err != nil || option != "" && (err == nil || !strings.HasPrefix(err.Error(), option+": ")) {
			t.Errorf("%s: got %v", option, err)
		}
	}
}
