package sealed

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/cache"
)

const secret = "0123456789abcdef0123456789abcdef"

func entry(client, model, rule, body string) *cache.Entry {
	now := time.Now().Truncate(time.Millisecond).UTC()
	return &cache.Entry{
		Stored: now, Expires: now.Add(time.Minute), Header: http.Header{"Content-Type": {"application/json"}}, Stream: true, Body: []byte(body),
		Usage: llmprovider.Usage{Known: true, PromptTokens: 3, FinishReason: "stop"}, Provider: "p", Tags: cache.Tags{Client: client, Model: model, Rule: rule},
	}
}

// TestValues holds that a value is read as it was written, and by nobody else: not without
// the secret or with another one, not under another name, and not with any byte changed.
func TestValues(t *testing.T) {
	open, _ := newCodec(nil)
	closed, _ := newCodec([]byte(secret))
	other, _ := newCodec([]byte("another " + secret))
	e := entry("alice", "m", "r", `{"choices":["text of the response"]}`)
	for _, c := range []*Codec{open, closed} {
		value, err := c.Encode("a", e)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Decode("a", value); !reflect.DeepEqual(got, e) {
			t.Errorf("%+v", got)
		}
		for _, not := range []*Codec{open, closed, other} {
			if not != c && not.Decode("a", value) != nil {
				t.Error("it is read with another secret")
			}
		}
		if strings.Contains(string(value), "alice") != (c == open) {
			t.Errorf("the value is %q", value)
		}
		if c == open {
			continue
		}
		if strings.Contains(string(value), "text of") || c.Decode("b", value) != nil {
			t.Error("the value is not sealed, or not bound to its name")
		}
		for i := range value {
			changed := append([]byte(nil), value...)
			changed[i] ^= 1
			if c.Decode("a", changed) != nil {
				t.Fatalf("byte %d may be changed", i)
			}
		}
	}
	for _, value := range []string{"", "\x01", "\x02", strings.Repeat("\x01", HeadSize), strings.Repeat("\x01", HeadSize+3), strings.Repeat("\x01", HeadSize) + "\xff\xff\xff\xff{}", strings.Repeat("\x02", HeadSize+20)} {
		if open.Decode("a", []byte(value)) != nil || closed.Decode("a", []byte(value)) != nil {
			t.Errorf("%q is read", value)
		}
	}
}
