package tap

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
)

var discard = func([]byte) error { return nil }

func BenchmarkEventTap(b *testing.B) {
	for _, bench := range []struct{ name, event string }{
		{"content", `data: {"id":"chatcmpl-9f2c","object":"chat.completion.chunk","created":1752480420,"model":"gpt-4o-mini","service_tier":"default","system_fingerprint":"fp_1c2d3e4f","choices":[{"index":0,"delta":{"content":" fox"},"logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n"},
		{"responses", "event: response.output_text.delta\n" + `data: {"type":"response.output_text.delta","sequence_number":12,"item_id":"msg_9f2c","output_index":0,"content_index":0,"delta":" fox","logprobs":[]}` + "\n\n"},
		{"usage", `data: {"id":"chatcmpl-9f2c","object":"chat.completion.chunk","created":1752480420,"model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":85,"total_tokens":96}}` + "\n\n"},
	} {
		for _, hide := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/hide=%v", bench.name, hide), func(b *testing.B) {
				event := []byte(bench.event)
				tap := eventTap{usage: &usageReader{Usage: llmprovider.Usage{Model: "gpt-4o-mini"}}, hide: hide}
				b.SetBytes(int64(len(event)))
				b.ReportAllocs()
				for b.Loop() {
					_ = tap.write(event, discard)
				}
			})
		}
	}
}

func BenchmarkJSONTap(b *testing.B) {
	answer := []byte(`{"id":"chatcmpl-9f2c","object":"chat.completion","created":1752480420,"model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"` +
		strings.Repeat("The quick brown fox said \\\"jump\\\" and did so.\\n", 420) +
		`","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":85,"total_tokens":96,"prompt_tokens_details":{"cached_tokens":3}}}`)
	b.SetBytes(int64(len(answer)))
	b.ReportAllocs()
	for b.Loop() {
		var usage usageReader
		tap := jsonTap{usage: &usage}
		for p := answer; len(p) > 0; { // as a response is read from a connection
			n := min(len(p), 8<<10)
			tap.write(p[:n])
			p = p[n:]
		}
		if usage.CompletionTokens != 85 {
			b.Fatal("usage not read")
		}
	}
}
