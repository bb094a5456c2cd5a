package guard

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/tap"
	"github.com/caddy-llm/gateway/llmroute/filter"
)

// TestManyEventsHeld holds that events which cost more than their bytes do not hold memory
// without bound.
func TestManyEventsHeld(t *testing.T) {
	const pieces, most = 256, 8 << 20
	for name, test := range map[string]struct {
		piece  string
		events int // at most, 0 for those that are denied
	}{
		"blank lines":     {strings.Repeat("\n", 32<<10), 1},
		"comments":        {strings.Repeat(":\r\n\r\n", 32<<10/5), 1},
		"names of events": {strings.Repeat("event: a\n\n", 32<<10/10), 1},
		"empty data":      {strings.Repeat("data:\n\n", 32<<10/7), 0},
		"short deltas":    {strings.Repeat(`data:{"delta":""}`+"\n\n", 32<<10/19), 0},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := New(map[string]*Definition{"g": {Deny: []Pattern{{Regex: "zebra"}}, OnResponse: &OnResponse{Stream: StreamWhole}}}, zap.NewNop(),
				func(string, string, Action, string) {}, nil)
			if err != nil {
				t.Fatal(err)
			}
			step, _ := f.Begin(context.Background(), &filter.Call{Inbound: inbound(t, chatPath, noRequest), Guards: []string{"g"}})
			reader := step.Reader(tap.Plain())
			reader.Head(&llmprovider.Head{Status: 200, Header: http.Header{}, Stream: true})
			var out strings.Builder
			pass := func(p []byte) error { out.Write(p); return nil }
			write := func(p string) error { return reader.Write([]byte(p), pass) }
			if err := write(chatChunk(`"a"`)); err != nil {
				t.Fatal(err)
			}
			for i := range pieces {
				if err = write(test.piece); err != nil {
					break
				}
				if held := len(reader.(*response).stream[0].held); test.events > 0 && held > test.events || held*128 > maxHeld+most {
					t.Fatalf("after %d bytes %d events are held", (i+1)*len(test.piece), held)
				}
			}
			if (err != nil) != (test.events == 0) {
				t.Fatalf("the response is denied: %v", err)
			}
			if err == nil {
				if err := reader.Finish(pass); err != nil || out.String() != chatChunk(`"a"`)+strings.Repeat(test.piece, pieces) {
					t.Errorf("%d bytes are passed on: %v", out.Len(), err)
				}
			}
		})
	}
}

// TestNoDataBesideMasks has events without data come around those in which something is
// replaced: they stay as they are, and where they are.
func TestNoDataBesideMasks(t *testing.T) {
	d := &Definition{Mask: []Pattern{{Regex: "zebra", As: "w"}}, OnResponse: &OnResponse{Stream: StreamWhole}}
	const none = ": a\n\n\nevent: b\n\n\r\n"
	one, two := chatChunk(`"a zebra"`), "event: c\ndata: {\"choices\":[{\"index\":0,\ndata: \"delta\":{\"content\":\" and zebra\"}}]}\n\n"
	response := none + one + none + two + none + one + none
	got, refused, _ := respond(t, d, noRequest, eventStream, response)
	if want := strings.ReplaceAll(response, "zebra", "[W]"); refused != nil || got != want {
		t.Errorf("got %q, want %q: %v", got, want, refused)
	}
}
