package estimate

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
		{`{"n":1e9,"max_tokens":99999999999}`, MaxOutput * 1, 1, 0},
		{`{"max_tokens":-5,"n":0}`, 0, 1, 0},
		{`{"max_tokens":"10","n":null}`, 0, 1, 0},
		{`{"generationConfig":{"maxOutputTokens":7,"candidateCount":2}}`, 14, 2, 0},
		{`{"inferenceConfig":{"maxTokens":7}}`, 7, 1, 0},
		{`{"metadata":{"max_tokens":7}}`, 0, 1, 0},
		{`{"messages":[{"content":[{"image_url":{"url":"data:image/png;base64,` + image + `"}},{"data":"` + image + `"}]}]}`, 0, 1, 2},
		{`{"messages":[{"content":"` + strings.Repeat("a", 5000) + `"}]}`, 0, 1, 0},
		{`{"messages":[{"content":"` + strings.Repeat("word and ", 500) + `"}]}`, 0, 1, 0},
	} {
		p := Read([]byte(test.body))
		if strings.HasPrefix(test.body, `{"n":1e9`) {
			test.output, test.choices = MaxOutput*128, 128
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
		p := Read(body)
		if p.Bytes < 0 || p.Bytes > p.Size || p.Choices < 1 || p.Output < 0 || p.Output > 128*MaxOutput || p.Media < 0 {
			t.Errorf("%+v", p)
		}
	})
}

func TestRatiosAreLearned(t *testing.T) {
	var e Ratios
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
