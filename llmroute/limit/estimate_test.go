package limit

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestReadPrompt(t *testing.T) {
	image := strings.Repeat("iVBORw0KGgo", 200)
	for _, test := range []struct {
		body                   string
		output, choices, media int64
	}{
		{`{"messages":[]}`, 0, 1, 0},
		{`{"max_tokens":10,"max_completion_tokens":20}`, 20, 1, 0},
		{`{"max_tokens":10,"max_tokens":900}`, 900, 1, 0},
		{`{"max_output_tokens":1e3}`, 1000, 1, 0},
		{`{"max_tokens":100,"n":3}`, 300, 3, 0},
		{`{"n":1e9,"max_tokens":99999999999}`, maxOutputTokens * 1, 1, 0},
		{`{"max_tokens":-5,"n":0}`, 0, 1, 0},
		{`{"max_tokens":"10","n":null}`, 0, 1, 0},
		{`{"generationConfig":{"maxOutputTokens":7,"candidateCount":2}}`, 14, 2, 0},
		{`{"inferenceConfig":{"maxTokens":7}}`, 7, 1, 0},
		{`{"metadata":{"max_tokens":7}}`, 0, 1, 0},
		{`{"messages":[{"content":[{"image_url":{"url":"data:image/png;base64,` + image + `"}},{"data":"` + image + `"}]}]}`, 0, 1, 2},
		{`{"messages":[{"content":"` + strings.Repeat("a", 5000) + `"}]}`, 0, 1, 0},
		{`{"messages":[{"content":"` + strings.Repeat("word and ", 500) + `"}]}`, 0, 1, 0},
	} {
		p := ReadPrompt([]byte(test.body))
		if strings.HasPrefix(test.body, `{"n":1e9`) {
			test.output, test.choices = maxOutputTokens*128, 128
		}
		if p.Output != test.output || p.Choices != test.choices || p.Media != test.media || p.Size != int64(len(test.body)) {
			t.Errorf("%.80s: %+v", test.body, p)
		}
	}
}

func FuzzReadPrompt(f *testing.F) {
	f.Add([]byte(`{"max_tokens":10,"n":2,"generationConfig":{"candidateCount":2}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) {
			return
		}
		p := ReadPrompt(body)
		if p.Bytes < 0 || p.Bytes > p.Size || p.Choices < 1 || p.Output < 0 || p.Output > 128*maxOutputTokens || p.Media < 0 {
			t.Errorf("%+v", p)
		}
	})
}

func TestRatiosAreLearned(t *testing.T) {
	e := newBench(t)
	p := Prompt{Size: 4000, Bytes: 4000, Choices: 1}
	typical, strict := e.Estimate(p, "m")
	if typical != 4000/3+1 || strict != 4000 {
		t.Errorf("at first %d, %d", typical, strict)
	}
	for range 100 {
		e.Learn(p, "m", 1000)
	}
	if typical, _ = e.Estimate(p, "m"); typical < 1000 || typical > 1100 {
		t.Errorf("learned %d", typical)
	}
	for range 100 {
		e.Learn(p, "m", 1)
		e.Learn(p, "m", 1<<40)
	}
	if typical, _ = e.Estimate(p, "m"); typical < 500 || typical > 4001 {
		t.Errorf("absurd counts make it %d", typical)
	}
}

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
