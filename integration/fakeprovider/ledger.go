package fakeprovider

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"strings"
)

// Usage is what a reply told its client about tokens.
type Usage struct {
	// Model is the model the reply named, empty if it named none.
	Model      string
	Prompt     int64
	Completion int64
	// Cached and Reasoning are parts of Prompt and Completion.
	Cached    int64
	Reasoning int64
}

func (u Usage) plus(v Usage) Usage {
	return Usage{
		Prompt: u.Prompt + v.Prompt, Completion: u.Completion + v.Completion,
		Cached: u.Cached + v.Cached, Reasoning: u.Reasoning + v.Reasoning,
	}
}

// Ledger sums what was reported in full, by the model the replies named. In a
// stream a usage counts once its whole event was sent while the client was
// still there, even if the stream broke later; of several the last counts. In a
// JSON body, that of an error included, it counts when the body was sent to its
// end. Replies with wrong framing count nothing. Call WaitIdle first.
func (s *Server) Ledger() map[string]Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.byReported)
}

// LedgerByRequest is Ledger by the model the requests named.
func (s *Server) LedgerByRequest() map[string]Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.byRequested)
}

// reported finds the usage in what was sent.
func (p *player) reported() *Usage {
	stream := isStream(p.contentType)
	if p.mangled || !stream && !p.ended {
		return nil
	}
	body := p.body
	if p.encoding == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil
		}
		// A stream that was cut ends in an error; what came before counts.
		body, _ = io.ReadAll(io.LimitReader(z, keep))
	}
	return FindUsage(p.contentType, body)
}

// FindUsage reads the usage out of a whole response body: the last one of an
// event stream, the only one of a JSON document. It knows the shapes of chat
// completions, completions, embeddings and responses, and the usage inside a
// choice that Moonshot streams.
func FindUsage(contentType string, body []byte) *Usage {
	if !isStream(contentType) {
		u, _ := usageOf(body)
		return u
	}
	var found *Usage
	model := ""
	for _, e := range Events(body) {
		u, named := usageOf(e.Data)
		if named != "" {
			model = named
		}
		if u != nil {
			found = u
		}
	}
	if found != nil {
		found.Model = model
	}
	return found
}

func isStream(contentType string) bool {
	return strings.HasPrefix(strings.ToLower(contentType), "text/event-stream")
}

// usageJSON covers every documented place of the numbers.
type usageJSON struct {
	PromptTokens     *int64 `json:"prompt_tokens"`
	CompletionTokens int64  `json:"completion_tokens"`
	InputTokens      *int64 `json:"input_tokens"`
	OutputTokens     int64  `json:"output_tokens"`
	CachedTokens     int64  `json:"cached_tokens"`
	CacheHitTokens   int64  `json:"prompt_cache_hit_tokens"`
	PromptDetails    struct {
		CachedTokens int64 `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	InputDetails struct {
		CachedTokens int64 `json:"cached_tokens"`
	} `json:"input_tokens_details"`
	CompletionDetails struct {
		ReasoningTokens int64 `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
	OutputDetails struct {
		ReasoningTokens int64 `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
}

func usageOf(document []byte) (*Usage, string) {
	var d struct {
		Model   string     `json:"model"`
		Usage   *usageJSON `json:"usage"`
		Choices []struct {
			Usage *usageJSON `json:"usage"`
		} `json:"choices"`
		Response struct {
			Model string     `json:"model"`
			Usage *usageJSON `json:"usage"`
		} `json:"response"`
	}
	if len(document) == 0 || json.Unmarshal(document, &d) != nil {
		return nil, ""
	}
	model, u := d.Model, d.Usage
	if model == "" {
		model = d.Response.Model
	}
	if u == nil {
		u = d.Response.Usage
	}
	if u == nil && len(d.Choices) > 0 {
		u = d.Choices[0].Usage
	}
	if u == nil || (u.PromptTokens == nil && u.InputTokens == nil) {
		return nil, model
	}
	out := &Usage{
		Model:      model,
		Completion: max(u.CompletionTokens, u.OutputTokens),
		Cached:     max(u.PromptDetails.CachedTokens, u.InputDetails.CachedTokens, u.CachedTokens, u.CacheHitTokens),
		Reasoning:  max(u.CompletionDetails.ReasoningTokens, u.OutputDetails.ReasoningTokens),
	}
	if u.PromptTokens != nil {
		out.Prompt = *u.PromptTokens
	} else {
		out.Prompt = *u.InputTokens
	}
	return out, model
}
