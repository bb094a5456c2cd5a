package guard

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/tap"
	"github.com/caddy-llm/gateway/llmroute/filter"
)

// TestTextsAfterEachOther has a stream bring one text after another, such as reasoning and
// then the response to it: the end of the first is not held to the end of the stream.
func TestTextsAfterEachOther(t *testing.T) {
	responses := func(kind string, output int) func(string) string {
		return func(piece string) string {
			return `data: {"type":"` + kind + `","output_index":` + strconv.Itoa(output) + `,"delta":"` + piece + `"}` + "\n\n"
		}
	}
	chat := func(member string) func(string) string {
		return func(piece string) string {
			return `data: {"choices":[{"index":0,"delta":{"` + member + `":"` + piece + `"}}]}` + "\n\n"
		}
	}
	messages := func(member string, block int) func(string) string {
		return func(piece string) string {
			return `data: {"type":"content_block_delta","index":` + strconv.Itoa(block) + `,"delta":{"` + member + `":"` + piece + `"}}` + "\n\n"
		}
	}
	for name, texts := range map[string][]func(piece string) string{
		"chat completions": {chat("reasoning_content"), chat("content")},
		"Responses API":    {responses("response.reasoning_summary_text.delta", 0), responses("response.output_text.delta", 1)},
		"Messages API":     {messages("thinking", 0), messages("text", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := New(map[string]*Definition{"g": {Mask: []Pattern{{Builtin: "email"}}, OnResponse: &OnResponse{Stream: StreamWindow, Window: 64}}}, zap.NewNop(),
				func(string, string, Action, string) {}, nil)
			if err != nil {
				t.Fatal(err)
			}
			step, _ := f.Begin(context.Background(), &filter.Call{Inbound: inbound(t, chatPath, noRequest), Guards: []string{"g"}})
			reader := step.Reader(tap.Plain())
			reader.Head(&llmprovider.Head{Status: 200, Header: http.Header{}, Stream: true})
			var out strings.Builder
			pass := func(p []byte) error { out.Write(p); return nil }
			for i, text := range texts {
				for _, piece := range []string{"it begins ", "with ", "me@", "example", ".org"} {
					if err := reader.Write([]byte(text(piece)), pass); err != nil {
						t.Fatal(err)
					}
				}
				if i == 0 {
					continue
				}
				for n := range 100 {
					if err := reader.Write([]byte(text("word "+strconv.Itoa(n))), pass); err != nil {
						t.Fatal(err)
					}
				}
			}
			if got := out.String(); !strings.Contains(got, "word 80") || strings.Count(got, "[EMAIL]") != 2 || strings.Contains(got, "example") {
				t.Errorf("before the end of the stream the client has %q", got)
			}
		})
	}
}
