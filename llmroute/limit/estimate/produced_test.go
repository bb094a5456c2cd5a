package estimate

import "testing"

const events = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n" +
	"data: {\"choices\":[{\"delta\":{\"content\":\"Hello \\\"you\\\"\"}}]}\n\n" +
	"data: {\"choices\":[{\"delta\": {\"tool_calls\":[{\"function\":{\"arguments\" : \"{\\\"a\\\": 1}\"}}]}}]}\n\n" +
	"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"abc\"}}\n\n" +
	"data: {\"type\":\"response.output_text.delta\",\"delta\":\"abc\"}\n\n" +
	"data: {\"type\":\"response.output_text.done\",\"text\":\"abc\"}\n\n" +
	"data: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"abc\"}]}]}}\n\n" +
	"data: {\"choices\":[],\"usage\":{\"total_tokens\":40}}\n\ndata: [DONE]\n\n"

// TestProduced holds that a stream's text is counted the same wherever it is cut.
func TestProduced(t *testing.T) {
	var whole Produced
	whole.Write([]byte(events))
	if whole.events != 4 || whole.text != 11+8+3+3 { // escapes are a byte each
		t.Errorf("%d events, %d bytes", whole.events, whole.text)
	}
	for i := range len(events) {
		var p Produced
		p.Write([]byte(events[:i]))
		p.Write([]byte(events[i:]))
		if p.Tokens() != whole.Tokens() || p.text != whole.text {
			t.Fatalf("cut at %d: %+v", i, p)
		}
	}
}

func FuzzProduced(f *testing.F) {
	f.Add([]byte(events), 7)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		var whole, parts Produced
		whole.Write(data)
		cut = max(0, min(cut, len(data)))
		parts.Write(data[:cut])
		parts.Write(data[cut:])
		if whole.Tokens() != parts.Tokens() || whole.Tokens() < 0 || whole.Tokens() > int64(len(data)) {
			t.Errorf("whole %d, in parts %d", whole.Tokens(), parts.Tokens())
		}
	})
}
