package dialect

import (
	"bytes"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
)

// What a skimmer leaves of a document is a document with the same members and short
// strings as they were, the same wherever the document was cut.
func FuzzSkim(f *testing.F) {
	for _, seed := range []string{
		`{"a":"b","c":["` + strings.Repeat("x", 600) + `","y"]}`, `{"a":"` + strings.Repeat("x", 509) + `\u00e9\"\\z"}`, `{"a":"` + strings.Repeat(`\u00e9`, 600) + `","b":1}`,
		`{"a":"` + strings.Repeat(`\\\"`, 400) + `","b":{"c":null}}`, `"` + strings.Repeat("x", 511) + `\n\u0041"`,
	} {
		f.Add([]byte(seed), uint8(3))
	}
	f.Fuzz(func(t *testing.T, doc []byte, cut uint8) {
		if !jsonscan.Valid(doc) {
			return
		}
		out := new(skimmer).append(nil, doc)
		if !jsonscan.Valid(out) || len(out) > len(doc) || len(doc) <= maxSkimmed && !bytes.Equal(out, doc) {
			t.Fatalf("%q is left as %q", doc, out)
		}
		var s skimmer
		var again []byte
		for rest := doc; len(rest) > 0; {
			n := min(int(cut)%16+1, len(rest))
			again = s.append(again, rest[:n])
			rest = rest[n:]
		}
		if !bytes.Equal(again, out) {
			t.Fatalf("%q is left as %q at once and as %q in pieces", doc, out, again)
		}
	})
}

// TestWatchKeepsNoMedia has a whole response with a large picture pass, of which nothing
// but what counts is held.
func TestWatchKeepsNoMedia(t *testing.T) {
	for _, media := range []string{"application/json", ""} {
		w := NewWatch(&API{Arrays: true, NewResponseReader: func(ResponseOptions) ResponseReader { return new(wholeOnly) }}, false)
		w.Head(&llmprovider.Head{Status: http.StatusOK, Header: http.Header{"Content-Type": {media}}})
		passed := 0
		pass := func(p []byte) error { passed += len(p); return nil }
		write := func(text string) {
			if err := w.Write([]byte(text), pass); err != nil {
				t.Fatal(err)
			}
		}
		write(`{"candidates":[{"content":{"parts":[{"inlineData":{"data":"`)
		piece := []byte(strings.Repeat("iVBOR", 13<<10))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 512 {
			if err := w.Write(piece, pass); err != nil {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		write(`"}}]}}],"usageMetadata":{}}`)
		if took := after.TotalAlloc - before.TotalAlloc; took > 64<<10 || passed < 32<<20 {
			t.Errorf("%d bytes pass and take %d of memory", passed, took)
		}
		if doc := w.read.reader.(*wholeOnly).Doc(); !bytes.HasSuffix(doc, []byte(`"usageMetadata":{}}`)) || len(doc) > 2*maxSkimmed {
			t.Errorf("left is %q", doc)
		}
	}
}

type wholeOnly struct{ Whole }

func (*wholeOnly) Close(func(*Event) error) error { return nil }

// Large values of a request are not copied while it is read.
func TestCarriersAreNotCopied(t *testing.T) {
	value := JSON(`"` + strings.Repeat("x", 1<<20) + `"`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c := ReadCarrier(value, "v")
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 64<<10 || !c.From("v") {
		t.Errorf("a carrier takes %d bytes of memory", took)
	}
	tagged := c.Append(nil, "other")
	runtime.ReadMemStats(&before)
	c = ReadCarrier(tagged, "other")
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 3<<19 || !c.From("v") || !bytes.Equal(c.Value, value) {
		t.Errorf("a tagged carrier takes %d bytes of memory", took)
	}
}
