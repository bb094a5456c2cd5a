// Package estimate estimates how many tokens texts have without a tokenizer: those of a prompt,
// by what was learned of its model, and those that a stream has brought so far. It may
// import the scanner of JSON, and llmprovider for what the APIs' endpoints are. Begin with Prompt and Produced.
package estimate

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"sync"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
)

const (
	// mediaTokens is what an image, a sound or a file in a prompt is estimated at.
	mediaTokens = 1600
	// minMedia is from which length on a JSON string that reads like base64 is one of
	// these and not text, in bytes.
	minMedia = 1 << 10

	// firstRatio is how many bytes of a request a token has as long as nothing is
	// known of its model; leastRatio and mostRatio bound what is learned. They are in
	// parts of ratioScale.
	firstRatio, leastRatio, mostRatio = 3 * ratioScale, 1 * ratioScale, 8 * ratioScale

	ratioScale = 1024

	// MaxOutput bounds what is believed of a request's maximum of output.
	MaxOutput = 1 << 30

	// maxModels bounds of how many models this is learned.
	maxModels = 1024
)

// Prompt is what a request's body tells of what it will use.
type Prompt struct {
	// Size is the body's, in bytes: no tokenizer makes more tokens of it. Of these,
	// Bytes are text; Media is the number of images, sounds and files.
	Size, Bytes, Media int64
	// Output is the most output tokens that the request asks for, over all of its
	// choices; 0 if it names no maximum. Choices is how many there are, at least 1.
	Output, Choices int64
}

// names are what an API calls the maximum of output and the number of choices. Those of
// Google's API are members of generationConfig.
type names struct{ output, choices []string }

// namesOf are those of the endpoint's API; none where it has no maximum, whatever the body
// says: the provider does not read it either.
func namesOf(e llmprovider.Endpoint) names {
	switch {
	case e.API == llmprovider.MessagesAPI:
		return names{output: []string{"max_tokens"}}
	case e.API == llmprovider.GeminiAPI: // takes both spellings
		return names{output: []string{"maxOutputTokens", "max_output_tokens"}, choices: []string{"candidateCount", "candidate_count"}}
	case e.Operation == llmprovider.Chat:
		return names{output: []string{"max_completion_tokens", "max_tokens"}, choices: []string{"n"}}
	case e.Operation == llmprovider.TextCompletion:
		return names{output: []string{"max_tokens"}, choices: []string{"n", "best_of"}}
	case e.Operation == llmprovider.Responses && e.Suffix != llmprovider.CompactSuffix:
		return names{output: []string{"max_output_tokens"}}
	case e.Operation == llmprovider.Images:
		return names{choices: []string{"n"}}
	}
	return names{}
}

func isOne(key []byte, names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return jsonscan.NameIs(key, name) })
}

// Read reads the JSON body of a request to that endpoint. It decodes nothing, and takes
// whatever is not a JSON object for text.
func Read(e llmprovider.Endpoint, body []byte) Prompt {
	p := Prompt{Size: int64(len(body)), Bytes: int64(len(body)), Choices: 1}
	names := namesOf(e)
	if e.API != llmprovider.GeminiAPI {
		p.readMaximum(body, names)
	} else {
		for key, value := range jsonscan.Members(body) {
			if isOne(key, []string{"generationConfig", "generation_config"}) {
				p.readMaximum(value, names)
			}
		}
	}
	p.Output = min(p.Output, MaxOutput) * p.Choices
	if len(body) >= minMedia {
		p.skipMedia(body)
	}
	return p
}

// readMaximum reads the members of an object that bound the output. Of several, the largest
// counts.
func (p *Prompt) readMaximum(object []byte, names names) {
	for key, value := range jsonscan.Members(object) {
		switch {
		case isOne(key, names.output):
			p.Output = max(p.Output, number(value))
		case isOne(key, names.choices):
			p.Choices = max(p.Choices, min(number(value), 128))
		}
	}
}

// number reads a whole number above 0; anything else is 0.
func number(value []byte) int64 {
	if len(value) == 0 || len(value) > 20 {
		return 0
	}
	if n, err := strconv.ParseInt(string(value), 10, 64); err == nil {
		return max(n, 0)
	}
	f, err := strconv.ParseFloat(string(value), 64) // 1e3, 4096.0
	if err != nil || !(f >= 1) {
		return 0
	}
	return int64(min(f, MaxOutput))
}

// skipMedia takes long strings of base64 for what they are.
func (p *Prompt) skipMedia(body []byte) {
	for len(body) >= minMedia {
		i := bytes.IndexByte(body, '"')
		if i < 0 {
			return
		}
		body = body[i+1:]
		end := bytes.IndexByte(body, '"')
		if end < 0 {
			return
		}
		if end >= minMedia && isBase64(body[:end]) {
			p.Bytes -= int64(end)
			p.Media++
		}
		for end > 0 && body[end-1] == '\\' { // an escaped quote; or a row of them, which only skips too much
			next := bytes.IndexByte(body[end+1:], '"')
			if next < 0 {
				return
			}
			end += 1 + next
		}
		body = body[end+1:]
	}
}

// isBase64 reports whether a string reads like base64, with the beginning of a data
// URL before it or not. Texts have spaces.
func isBase64(s []byte) bool {
	if bytes.HasPrefix(s, []byte("data:")) {
		_, after, ok := bytes.Cut(s[:min(len(s), 256)], []byte(";base64,"))
		if !ok {
			return false
		}
		s = s[min(len(s), 256)-len(after):]
	}
	same := 0
	for i, c := range s {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '+', c == '/', c == '-', c == '_', c == '=':
		case c == '\\' && i+1 < len(s) && (s[i+1] == '/' || s[i+1] == 'n' || s[i+1] == 'r'): // as some encoders write it
		default:
			return false
		}
		if i > 0 && c == s[i-1] {
			same++
		}
	}
	return same < len(s)/4 // not a row of one letter, which is text
}

// Ratios are how many bytes the tokens of models have, as far as it was learned. The zero
// value is ready for use, and safe for concurrent use.
type Ratios struct {
	mu     sync.RWMutex
	models map[string]int64 // in parts of ratioScale
}

func (r *Ratios) of(model string) int64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if n, ok := r.models[model]; ok {
		return n
	}
	return firstRatio
}

// learn moves the model's ratio towards that of a request.
func (r *Ratios) learn(model string, size, tokens int64) {
	if tokens < 16 || size < 64 || size > math.MaxInt64/ratioScale {
		return // too little to learn from
	}
	seen := min(max(size*ratioScale/tokens, leastRatio), mostRatio)
	r.mu.Lock()
	defer r.mu.Unlock()
	old, ok := r.models[model]
	if !ok {
		if len(r.models) >= maxModels {
			return
		}
		if r.models == nil {
			r.models = make(map[string]int64)
		}
		old = firstRatio
	}
	// An estimate that is too low costs more than one that is too high.
	if seen < old {
		r.models[model] = old + (seen-old)/4 - 1
	} else {
		r.models[model] = old + (seen-old)/16
	}
	r.models[model] = max(r.models[model], leastRatio)
}

// Estimate returns the tokens of a prompt: as they typically are for the model, and at most.
func (r *Ratios) Estimate(p Prompt, model string) (typical, strict int64) {
	return p.Bytes*ratioScale/r.of(model) + 1 + p.Media*mediaTokens, max(p.Size, 1)
}

// Learn notes how many input tokens the provider counted for a prompt. The model is bounded
// text; how many are remembered is as well.
func (r *Ratios) Learn(p Prompt, model string, tokens int64) {
	if p.Media == 0 {
		r.learn(model, p.Bytes, tokens)
	}
}
