package responses

import (
	"strconv"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// minOutput is the smallest output cap that the API takes.
const minOutput = 16

// requestWriter writes one request. What is stable from turn to turn comes first,
// the input last, so that a provider's cache of prefixes holds.
type requestWriter struct {
	r      *dialect.Request
	target dialect.Target
	out    []byte
}

// writeRequest implements dialect.API. Nothing is to be stored at the provider, so
// reasoning comes encrypted.
func writeRequest(r *dialect.Request, target dialect.Target) ([]byte, *llmprovider.Error) {
	if err := target.NeedModel(); err != nil {
		return nil, err
	}
	w := &requestWriter{r: r, target: target, out: make([]byte, 0, 4096)}
	w.out = append(w.out, `{"model":`...)
	w.out = jsonscan.AppendString(w.out, target.Model)
	if !r.Count {
		if target.Stream {
			w.out = append(w.out, `,"stream":true`...)
		}
		w.out = append(w.out, `,"store":false,"include":["reasoning.encrypted_content"]`...)
		if err := w.settings(); err != nil {
			return nil, err
		}
	}
	if err := w.tools(); err != nil {
		return nil, err
	}
	if err := w.input(); err != nil {
		return nil, err
	}
	return append(w.out, '}'), nil
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

func (w *requestWriter) drop(c dialect.Concept, value dialect.JSON) {
	if value != nil {
		w.r.Loss.Drop(c)
	}
}

func (w *requestWriter) settings() *llmprovider.Error {
	s, p := &w.r.Settings, w.target.Profile
	switch {
	case len(s.Stop) > 0:
		return w.r.Refuse(dialect.CStop, "it has no stop sequences")
	case s.Candidates != nil && string(s.Candidates) != "1":
		return w.r.Refuse(dialect.CCandidates, "it answers with one choice")
	case string(s.LogProbs) == "true":
		return w.r.Refuse(dialect.CLogProbs, "its log probabilities have another form")
	}
	if n, err := strconv.Atoi(string(s.MaxOutput)); err == nil && n < minOutput {
		w.out = append(w.out, `,"max_output_tokens":16`...)
		w.r.Loss.Approximate(dialect.CMaxOutput)
	} else {
		w.member("max_output_tokens", s.MaxOutput)
	}
	if p.NoSampling {
		w.drop(dialect.CTemperature, s.Temperature)
		w.drop(dialect.CTopP, s.TopP)
	} else {
		w.member("temperature", s.Temperature)
		w.member("top_p", s.TopP)
	}
	w.drop(dialect.CTopK, s.TopK)
	w.drop(dialect.CPresencePenalty, s.PresencePenalty)
	w.drop(dialect.CFrequencyPenalty, s.FrequencyPenalty)
	w.drop(dialect.CLogitBias, s.LogitBias)
	w.drop(dialect.CSeed, s.Seed)
	if s.Store != nil && *s.Store {
		w.r.Loss.Drop(dialect.CStore)
	}
	if s.Cache != nil {
		w.r.Loss.Drop(dialect.CCache)
	}
	w.member("safety_identifier", s.User)
	w.member("metadata", s.Metadata)
	w.member("service_tier", s.ServiceTier)
	w.member("prompt_cache_key", s.CacheKey)
	w.reasoning()
	return w.text()
}

// reasoning writes how much the model is to reason. Clients of other APIs are shown
// its summary.
func (w *requestWriter) reasoning() {
	s, p := &w.r.Settings, w.target.Profile
	effort := s.Effort
	switch {
	case s.Thinking == dialect.ThinkingOff:
		effort = dialect.EffortNone
	case effort == "" && s.Budget != nil:
		effort = dialect.EffortOf(s.Budget)
		w.r.Loss.Approximate(dialect.CBudget)
	}
	if other, ok := p.Efforts[effort]; ok {
		w.r.Loss.Approximate(dialect.CEffort)
		effort = other
	}
	asked := effort != "" && effort != dialect.EffortNone || s.Thinking == dialect.ThinkingOn || s.Thinking == dialect.ThinkingAdaptive
	if effort == "" && !asked {
		return
	}
	w.out = append(w.out, `,"reasoning":{`...)
	if effort != "" {
		w.out = append(w.out, `"effort":`...)
		w.out = jsonscan.AppendString(w.out, string(effort))
	}
	if asked {
		if effort != "" {
			w.out = append(w.out, ',')
		}
		w.out = append(w.out, `"summary":"auto"`...)
	}
	w.out = append(w.out, '}')
}

func (w *requestWriter) text() *llmprovider.Error {
	s := &w.r.Settings
	f := &s.Format
	if f.Kind == 0 && s.Verbosity == nil {
		return nil
	}
	w.out = append(w.out, `,"text":{`...)
	switch f.Kind {
	case dialect.FormatJSON:
		w.out = append(w.out, `"format":{"type":"json_object"}`...)
	case dialect.FormatSchema:
		w.out = append(w.out, `"format":{"type":"json_schema","name":`...)
		if f.Name != nil {
			w.out = append(w.out, f.Name...)
		} else {
			w.out = append(w.out, `"response"`...)
		}
		w.member("description", f.Description)
		if f.Strict != nil {
			w.out = strconv.AppendBool(append(w.out, `,"strict":`...), *f.Strict)
		}
		w.member("schema", f.Schema)
		w.out = append(w.out, '}')
	}
	if s.Verbosity != nil {
		if f.Kind != 0 {
			w.out = append(w.out, ',')
		}
		w.out = append(append(w.out, `"verbosity":`...), s.Verbosity...)
	}
	w.out = append(w.out, '}')
	return nil
}

func (w *requestWriter) tools() *llmprovider.Error {
	if len(w.r.Tools) == 0 {
		return nil
	}
	w.out = append(w.out, `,"tools":[`...)
	for i := range w.r.Tools {
		t := &w.r.Tools[i]
		if t.Kind == dialect.Hosted {
			return w.r.Refuse(dialect.CHostedTool, "it does not run tools of another vendor")
		}
		w.out = comma(w.out, i)
		if t.Kind == dialect.Custom {
			w.out = append(w.out, `{"type":"custom","name":`...)
			w.out = jsonscan.AppendString(w.out, t.Name)
			w.member("description", t.Description)
			w.member("format", t.Grammar)
			w.out = append(w.out, '}')
			continue
		}
		w.out = append(w.out, `{"type":"function","name":`...)
		w.out = jsonscan.AppendString(w.out, t.Name)
		w.member("description", t.Description)
		if t.Schema != nil {
			w.member("parameters", t.Schema)
		} else {
			w.out = append(w.out, `,"parameters":{"type":"object","properties":{}}`...)
		}
		w.out = append(w.out, `,"strict":`...)
		w.out = strconv.AppendBool(w.out, t.Strict != nil && *t.Strict)
		w.out = append(w.out, '}')
		if t.Cache != nil {
			w.r.Loss.Drop(dialect.CCache)
		}
	}
	w.out = append(w.out, ']')
	if w.r.Parallel != nil {
		w.out = strconv.AppendBool(append(w.out, `,"parallel_tool_calls":`...), *w.r.Parallel)
	}
	return w.choice()
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
		w.out = append(w.out, `,"tool_choice":`...)
		return w.toolName(c.Names[0])
	case dialect.ChoiceSubset:
		mode := "auto"
		if c.Must {
			mode = "required"
		}
		w.out = append(w.out, `,"tool_choice":{"type":"allowed_tools","mode":"`+mode+`","tools":[`...)
		for i, name := range c.Names {
			w.out = comma(w.out, i)
			if err := w.toolName(name); err != nil {
				return err
			}
		}
		w.out = append(w.out, `]}`...)
	}
	return nil
}

// toolName appends an object that names a tool.
func (w *requestWriter) toolName(name string) *llmprovider.Error {
	for i := range w.r.Tools {
		if t := &w.r.Tools[i]; t.Name == name {
			kind := "function"
			if t.Kind == dialect.Custom {
				kind = "custom"
			}
			w.out = append(w.out, `{"type":"`+kind+`","name":`...)
			w.out = append(jsonscan.AppendString(w.out, name), '}')
			return nil
		}
	}
	return dialect.Invalid(w.r.API.Paths[dialect.CChoice], "the name of one of the tools")
}

// comma appends the comma before every element but the first.
func comma(out []byte, i int) []byte {
	if i > 0 {
		out = append(out, ',')
	}
	return out
}
