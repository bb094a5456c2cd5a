package llmprovider

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// chatBody is a chat request of about size bytes, as SDKs write it.
func chatBody(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"model":"gpt-4o-mini","messages":[{"role":"system","content":"You are a helpful assistant."}`)
	for b.Len() < size-150 {
		text := strings.Repeat("The quick brown fox said \\\"jump\\\" and did so. ", min(20, (size-b.Len())/48+1))
		fmt.Fprintf(&b, `,{"role":"user","content":"%s"}`, text)
	}
	b.WriteString(`],"temperature":0.7,"max_tokens":256,"stream":true}`)
	return b.Bytes()
}

func sizeName(n int) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%dMB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%dKB", n>>10)
	}
	return fmt.Sprintf("%dB", n)
}

func BenchmarkScanSplice(b *testing.B) {
	for _, size := range []int{300, 20 << 10, 1 << 20} {
		body := chatBody(size)
		e := Edits{Model: []byte(`"qwen-turbo"`), IncludeUsage: true}
		b.Run(sizeName(size), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				m, err := scanObject(body)
				if err != nil {
					b.Fatal(err)
				}
				if s := splice(body, &m, &e); s.size < int64(len(body)) {
					b.Fatal("too short")
				}
			}
		})
	}
}

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
				tap := eventTap{usage: &usageReader{Usage: Usage{Model: "gpt-4o-mini"}}, hide: hide}
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
		for p := answer; len(p) > 0; { // as an answer is read from a connection
			n := min(len(p), 8<<10)
			tap.write(p[:n])
			p = p[n:]
		}
		if usage.CompletionTokens != 85 {
			b.Fatal("usage not read")
		}
	}
}
