package tap

import (
	"net/http"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
)

func TestReadersOfAnswers(t *testing.T) {
	for _, test := range []struct {
		contentType, encoding string
		want                  llmprovider.Reader
	}{
		{"application/json", "", new(jsonReader)},
		{"application/json; charset=utf-8", "identity", new(jsonReader)},
		{"text/event-stream", "", new(eventReader)},
		{"Text/Event-Stream;charset=UTF-8", "", new(eventReader)},
		{"text/event-stream", "gzip", new(plainReader)},
		{"audio/mpeg", "", new(plainReader)},
		{"", "", new(plainReader)},
	} {
		header := http.Header{"Content-Type": {test.contentType}}
		if test.encoding != "" {
			header.Set("Content-Encoding", test.encoding)
		}
		r := NewReader(new(llmprovider.Attempt), &http.Response{Header: header}, llmprovider.IsEvents(header))
		var same bool
		switch test.want.(type) {
		case *jsonReader:
			_, same = r.(*jsonReader)
		case *eventReader:
			_, same = r.(*eventReader)
		case *plainReader:
			_, same = r.(*plainReader)
		}
		if !same {
			t.Errorf("%q %q is read by %T", test.contentType, test.encoding, r)
		}
		if got := readAnswer(t, r, []byte("any\x00thing"), 3); string(got) != "any\x00thing" {
			t.Errorf("%q passes on %q", test.contentType, got)
		}
	}
}
