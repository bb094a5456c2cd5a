package chat

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// requestWriter writes one request. What is stable from turn to turn comes first,
// the messages last, so that a provider's cache of prefixes holds.
type requestWriter struct {
	r      *dialect.Request
	target dialect.Target
	out    []byte
}

// writeRequest implements dialect.API.
func writeRequest(r *dialect.Request, target dialect.Target) ([]byte, *llmprovider.Error) {
	w := &requestWriter{r: r, target: target, out: make([]byte, 0, 4096)}
	w.out = append(w.out, '{')
	if target.Model != "" { // a server with one model needs none
		w.out = append(w.out, `,"model":`...)
		w.out = jsonscan.AppendString(w.out, target.Model)
	}
	if target.Stream {
		w.member("stream", dialect.JSON("true"))
		if !target.NoStreamOptions {
			w.member("stream_options", dialect.JSON(`{"include_usage":true}`))
		}
	}
	if err := w.settings(); err != nil {
		return nil, err
	}
	if err := w.tools(); err != nil {
		return nil, err
	}
	if err := w.messages(); err != nil {
		return nil, err
	}
	w.out[1] = '{' // instead of the comma before the first member
	return append(w.out[1:], '}'), nil
}

// member appends a member whose value the source has, if it has one.
func (w *requestWriter) member(name string, value dialect.JSON) {
	if value == nil {
		return
	}
	w.out = append(w.out, `,"`...)
	w.out = append(w.out, name...)
	w.out = append(w.out, `":`...)
	w.out = append(w.out, value...)
}

func (w *requestWriter) settings() *llmprovider.Error {
	s, p := &w.r.Settings, w.target.Profile
	name := p.MaxTokensName
	if name == "" {
		name = "max_completion_tokens"
	}
	w.member(name, s.MaxOutput)
	if p.NoSampling {
		w.drop(dialect.CTemperature, s.Temperature)
		w.drop(dialect.CTopP, s.TopP)
		w.drop(dialect.CTopK, s.TopK)
	} else {
		w.member("temperature", s.Temperature)
		w.member("top_p", s.TopP)
		if p.TopK {
			w.member("top_k", s.TopK)
		} else {
			w.drop(dialect.CTopK, s.TopK)
		}
	}
	w.member("presence_penalty", s.PresencePenalty)
	w.member("frequency_penalty", s.FrequencyPenalty)
	w.member("logit_bias", s.LogitBias)
	w.member("seed", s.Seed)
	w.member("n", s.Candidates)
	w.member("logprobs", s.LogProbs)
	w.member("top_logprobs", s.TopLogProbs)
	if len(s.Stop) > 4 {
		return w.r.Refuse(dialect.CStop, "it takes four stop sequences at most")
	}
	if len(s.Stop) > 0 {
		w.out = append(w.out, `,"stop":[`...)
		for i, stop := range s.Stop {
			w.out = comma(w.out, i)
			w.out = append(w.out, stop...)
		}
		w.out = append(w.out, ']')
	}
	w.member("verbosity", s.Verbosity)
	w.member("user", s.User)
	w.member("metadata", s.Metadata)
	w.member("service_tier", s.ServiceTier)
	if s.Store != nil && *s.Store {
		w.member("store", dialect.JSON("true"))
	}
	w.member("prompt_cache_key", s.CacheKey)
	if s.Cache != nil && !p.CacheControl {
		w.r.Loss.Drop(dialect.CCache)
	}
	w.effort()
	return w.format()
}

func (w *requestWriter) drop(c dialect.Concept, value dialect.JSON) {
	if value != nil {
		w.r.Loss.Drop(c)
	}
}

// effort writes how much the model is to reason: as the client says, or as a word
// that stands for its budget.
func (w *requestWriter) effort() {
	s, p := &w.r.Settings, w.target.Profile
	effort := s.Effort
	switch {
	case s.Thinking == dialect.ThinkingOff:
		effort = dialect.EffortNone
	case effort == "" && s.Budget != nil:
		effort = dialect.EffortOf(s.Budget)
		w.r.Loss.Approximate(dialect.CBudget)
	}
	if s.Summary {
		w.r.Loss.Drop(dialect.CSummary)
	}
	if effort == "" {
		return
	}
	if other, ok := p.Efforts[effort]; ok {
		if other == "" {
			w.r.Loss.Drop(dialect.CEffort)
			return
		}
		w.r.Loss.Approximate(dialect.CEffort)
		effort = other
	}
	w.out = append(w.out, `,"reasoning_effort":`...)
	w.out = jsonscan.AppendString(w.out, string(effort))
}

func (w *requestWriter) format() *llmprovider.Error {
	f := &w.r.Settings.Format
	switch {
	case f.Kind == 0:
		return nil
	case f.Kind == dialect.FormatJSON:
		w.out = append(w.out, `,"response_format":{"type":"json_object"}`...)
		return nil
	case w.target.Profile.NoSchema:
		return w.r.Refuse(dialect.CFormat, "it has no structured output by a schema")
	}
	w.out = append(w.out, `,"response_format":{"type":"json_schema","json_schema":{"name":`...)
	if f.Name != nil {
		w.out = append(w.out, f.Name...)
	} else {
		w.out = append(w.out, `"response"`...)
	}
	w.member("description", f.Description)
	w.member("strict", boolean(f.Strict))
	w.member("schema", f.Schema)
	w.out = append(w.out, `}}`...)
	return nil
}

func boolean(b *bool) dialect.JSON {
	switch {
	case b == nil:
		return nil
	case *b:
		return dialect.JSON("true")
	}
	return dialect.JSON("false")
}

func (w *requestWriter) tools() *llmprovider.Error {
	if len(w.r.Tools) > 0 {
		w.out = append(w.out, `,"tools":[`...)
		for i := range w.r.Tools {
			w.out = comma(w.out, i)
			if err := w.tool(&w.r.Tools[i]); err != nil {
				return err
			}
		}
		w.out = append(w.out, ']')
		w.member("parallel_tool_calls", boolean(w.r.Parallel))
	}
	return w.choice()
}

func (w *requestWriter) tool(t *dialect.Tool) *llmprovider.Error {
	switch t.Kind {
	case dialect.Hosted:
		return w.r.Refuse(dialect.CHostedTool, "it does not run tools of another vendor")
	case dialect.Custom:
		w.out = append(w.out, `{"type":"custom","custom":{"name":`...)
		w.out = jsonscan.AppendString(w.out, t.Name)
		w.member("description", t.Description)
		w.member("format", t.Grammar)
	default:
		w.out = append(w.out, `{"type":"function","function":{"name":`...)
		w.out = jsonscan.AppendString(w.out, t.Name)
		w.member("description", t.Description)
		w.member("parameters", t.Schema)
		if w.target.Profile.NoStrictTools {
			w.drop(dialect.CStrict, boolean(t.Strict))
		} else {
			w.member("strict", boolean(t.Strict))
		}
	}
	w.out = append(w.out, '}')
	w.cache(t.Cache)
	w.out = append(w.out, '}')
	return nil
}

// cache writes a cache marker, where the provider takes them.
func (w *requestWriter) cache(c *dialect.Cache) {
	switch {
	case c == nil:
	case !w.target.Profile.CacheControl:
		w.r.Loss.Drop(dialect.CCache)
	case c.TTL == 3600:
		w.out = append(w.out, `,"cache_control":{"type":"ephemeral","ttl":"1h"}`...)
	default:
		w.out = append(w.out, `,"cache_control":{"type":"ephemeral"}`...)
	}
}

func (w *requestWriter) choice() *llmprovider.Error {
	c := &w.r.Choice
	switch c.Mode {
	case dialect.ChoiceAuto:
		w.out = append(w.out, `,"tool_choice":"auto"`...)
	case dialect.ChoiceAny:
		w.out = append(w.out, `,"tool_choice":"required"`...)
	case dialect.ChoiceNone:
		w.out = append(w.out, `,"tool_choice":"none"`...)
	case dialect.ChoiceNamed:
		kind, err := w.kindOf(c.Names[0])
		if err != nil {
			return err
		}
		w.out = append(w.out, `,"tool_choice":{"type":"`+kind+`","`+kind+`":{"name":`...)
		w.out = jsonscan.AppendString(w.out, c.Names[0])
		w.out = append(w.out, `}}`...)
	case dialect.ChoiceSubset:
		w.out = append(w.out, `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"`...)
		if c.Must {
			w.out = append(w.out, `required`...)
		} else {
			w.out = append(w.out, `auto`...)
		}
		w.out = append(w.out, `","tools":[`...)
		for i, name := range c.Names {
			kind, err := w.kindOf(name)
			if err != nil {
				return err
			}
			w.out = comma(w.out, i)
			w.out = append(w.out, `{"type":"`+kind+`","`+kind+`":{"name":`...)
			w.out = jsonscan.AppendString(w.out, name)
			w.out = append(w.out, `}}`...)
		}
		w.out = append(w.out, `]}}`...)
	}
	return nil
}

// kindOf is the type of the tool of that name.
func (w *requestWriter) kindOf(name string) (string, *llmprovider.Error) {
	for i := range w.r.Tools {
		if t := &w.r.Tools[i]; t.Name == name {
			if t.Kind == dialect.Custom {
				return "custom", nil
			}
			return "function", nil
		}
	}
	return "", dialect.Invalid(w.r.API.Paths[dialect.CChoice], "the name of one of the tools")
}

// comma appends the comma before every element but the first.
func comma(out []byte, i int) []byte {
	if i > 0 {
		out = append(out, ',')
	}
	return out
}

// toolID returns an id that the provider takes: as it is, or, where a vendor wants
// an exact length, made from it.
func (w *requestWriter) toolID(id string) string {
	n := w.target.Profile.ToolIDLength
	if n == 0 || len(id) == n && !strings.ContainsAny(id, "_-") {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return base32.StdEncoding.EncodeToString(sum[:])[:n]
}
