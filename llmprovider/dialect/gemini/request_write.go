package gemini

import (
	"strconv"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// requestWriter writes one request. What is stable from turn to turn comes first,
// the contents last, so that a provider's cache of prefixes holds.
type requestWriter struct {
	r      *dialect.Request
	target dialect.Target
	out    []byte
}

// writeRequest implements dialect.API. The model and whether to stream stand in the
// path, which is the provider's to write.
func writeRequest(r *dialect.Request, target dialect.Target) ([]byte, *llmprovider.Error) {
	if err := target.NeedModel(); err != nil {
		return nil, err
	}
	w := &requestWriter{r: r, target: target, out: make([]byte, 0, 4096)}
	w.out = append(w.out, '{')
	if !r.Count {
		if err := w.config(); err != nil {
			return nil, err
		}
	}
	if err := w.tools(); err != nil {
		return nil, err
	}
	leading := 0
	for leading < len(r.Turns) && isSystem(&r.Turns[leading]) {
		leading++
	}
	if err := w.system(r.Turns[:leading]); err != nil {
		return nil, err
	}
	if err := w.contents(r.Turns[leading:]); err != nil {
		return nil, err
	}
	return append(w.out, '}'), nil
}

func isSystem(t *dialect.Turn) bool { return t.Role == dialect.System || t.Role == dialect.Developer }

// begin appends the name of a member.
func (w *requestWriter) begin(name string) {
	if c := w.out[len(w.out)-1]; c != '{' {
		w.out = append(w.out, ',')
	}
	w.out = append(w.out, '"')
	w.out = append(w.out, name...)
	w.out = append(w.out, `":`...)
}

// member appends a member whose value the source has, if it has one.
func (w *requestWriter) member(name string, value dialect.JSON) {
	if value != nil {
		w.begin(name)
		w.out = append(w.out, value...)
	}
}

func (w *requestWriter) drop(c dialect.Concept, value dialect.JSON) {
	if value != nil {
		w.r.Loss.Drop(c)
	}
}

func (w *requestWriter) config() *llmprovider.Error {
	s := &w.r.Settings
	if string(s.LogProbs) == "true" {
		return w.r.Refuse(dialect.CLogProbs, "its log probabilities have another form")
	}
	w.drop(dialect.CLogitBias, s.LogitBias)
	w.drop(dialect.CVerbosity, s.Verbosity)
	w.drop(dialect.CUser, s.User)
	w.drop(dialect.CMetadata, s.Metadata)
	w.drop(dialect.CCacheKey, s.CacheKey)
	if s.Cache != nil {
		w.r.Loss.Drop(dialect.CCache)
	}
	if s.Store != nil && *s.Store {
		w.r.Loss.Drop(dialect.CStore)
	}
	switch tier := jsonscan.Text(s.ServiceTier); tier {
	case "", "auto":
	case "default":
		w.member("serviceTier", dialect.JSON(`"standard"`))
	case "flex", "priority":
		w.member("serviceTier", s.ServiceTier)
	default:
		w.r.Loss.Drop(dialect.CServiceTier)
	}
	w.begin("generationConfig")
	w.out = append(w.out, '{')
	limit := s.MaxOutput
	if limit == nil && w.target.MaxOutput > 0 {
		limit = strconv.AppendInt(nil, int64(w.target.MaxOutput), 10)
	}
	w.member("maxOutputTokens", limit)
	if w.target.Profile.NoSampling {
		w.drop(dialect.CTemperature, s.Temperature)
		w.drop(dialect.CTopP, s.TopP)
		w.drop(dialect.CTopK, s.TopK)
	} else {
		w.member("temperature", s.Temperature)
		w.member("topP", s.TopP)
		w.member("topK", s.TopK)
	}
	w.member("presencePenalty", s.PresencePenalty)
	w.member("frequencyPenalty", s.FrequencyPenalty)
	w.member("seed", s.Seed)
	w.member("candidateCount", s.Candidates)
	if len(s.Stop) > 0 {
		w.begin("stopSequences")
		w.out = append(w.out, '[')
		for i, stop := range s.Stop {
			w.out = comma(w.out, i)
			w.out = append(w.out, stop...)
		}
		w.out = append(w.out, ']')
	}
	switch f := &s.Format; f.Kind {
	case dialect.FormatJSON:
		w.member("responseMimeType", dialect.JSON(`"application/json"`))
	case dialect.FormatSchema:
		if f.Name != nil || f.Description != nil {
			w.r.Loss.Drop(dialect.CFormatName)
		}
		w.member("responseMimeType", dialect.JSON(`"application/json"`))
		w.member("responseJsonSchema", f.Schema)
	}
	w.thinking()
	if w.out[len(w.out)-1] == '{' { // nothing was said
		w.out = w.out[:len(w.out)-len(`"generationConfig":{`)]
		if w.out[len(w.out)-1] == ',' {
			w.out = w.out[:len(w.out)-1]
		}
		return nil
	}
	w.out = append(w.out, '}')
	return nil
}

// comma appends the comma before every element but the first.
func comma(out []byte, i int) []byte {
	if i > 0 {
		out = append(out, ',')
	}
	return out
}

// levels are the words of effort in the API's terms.
var levels = map[dialect.Effort]string{
	dialect.EffortNone: "MINIMAL", dialect.EffortMinimal: "MINIMAL", dialect.EffortLow: "LOW", dialect.EffortMedium: "MEDIUM", dialect.EffortHigh: "HIGH",
	dialect.EffortXHigh: "HIGH", dialect.EffortMax: "HIGH",
}

// budgets are the tokens that stand for a word of effort where a model takes a
// budget, unless its profile says otherwise.
var budgets = map[dialect.Effort]int{
	dialect.EffortNone: 0, dialect.EffortMinimal: 512, dialect.EffortLow: 2048, dialect.EffortMedium: 8192, dialect.EffortHigh: 24576,
	dialect.EffortXHigh: 24576, dialect.EffortMax: 24576,
}

// thinking writes how much the model is to reason: by a level, or by a budget for
// models before Gemini 3. Clients of other APIs are shown the thoughts.
func (w *requestWriter) thinking() {
	s, p := &w.r.Settings, w.target.Profile
	effort := s.Effort
	if s.Thinking == dialect.ThinkingOff {
		effort = dialect.EffortNone
	}
	asked := effort != "" && effort != dialect.EffortNone || s.Thinking == dialect.ThinkingOn || s.Thinking == dialect.ThinkingAdaptive
	switch {
	case effort == "" && !asked && !s.Summary:
		return
	case p.Reasoning == "none":
		w.r.Loss.Drop(dialect.CEffort)
		return
	}
	w.begin("thinkingConfig")
	w.out = append(w.out, '{')
	switch {
	case p.Reasoning == "budget" && s.Budget != nil:
		w.member("thinkingBudget", s.Budget)
	case p.Reasoning == "budget" && effort != "":
		budget, ok := p.Budgets[effort]
		if !ok {
			budget = budgets[effort]
		}
		w.member("thinkingBudget", strconv.AppendInt(nil, int64(budget), 10))
		if effort != dialect.EffortNone {
			w.r.Loss.Approximate(dialect.CEffort)
		}
	case p.Reasoning == "budget":
	default:
		if effort == "" && s.Budget != nil {
			effort = dialect.EffortOf(s.Budget)
			w.r.Loss.Approximate(dialect.CBudget)
		}
		if level := levels[effort]; level != "" {
			if effort == dialect.EffortNone || effort == dialect.EffortXHigh || effort == dialect.EffortMax {
				w.r.Loss.Approximate(dialect.CEffort)
			}
			w.member("thinkingLevel", dialect.JSON(`"`+level+`"`))
		} else if effort != "" {
			w.r.Loss.Drop(dialect.CEffort)
		}
	}
	if asked {
		w.member("includeThoughts", dialect.JSON("true"))
	}
	w.out = append(w.out, '}')
}

func (w *requestWriter) tools() *llmprovider.Error {
	if len(w.r.Tools) == 0 {
		return nil
	}
	w.begin("tools")
	w.out = append(w.out, `[{"functionDeclarations":[`...)
	for i := range w.r.Tools {
		t := &w.r.Tools[i]
		switch {
		case t.Kind == dialect.Hosted:
			return w.r.Refuse(dialect.CHostedTool, "it does not run tools of another vendor")
		case t.Grammar != nil:
			return w.r.Refuse(dialect.CGrammar, "its tools take JSON and no other grammar")
		}
		w.out = comma(w.out, i)
		w.out = append(w.out, `{"name":`...)
		w.out = jsonscan.AppendString(w.out, t.Name)
		w.member("description", t.Description)
		if t.Kind == dialect.Custom {
			w.r.Loss.Approximate(dialect.CCustomTool)
			w.member("parametersJsonSchema", dialect.JSON(`{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}`))
		} else {
			w.member("parametersJsonSchema", t.Schema)
		}
		if t.Strict != nil && *t.Strict {
			w.r.Loss.Drop(dialect.CStrict)
		}
		if t.Cache != nil {
			w.r.Loss.Drop(dialect.CCache)
		}
		w.out = append(w.out, '}')
	}
	w.out = append(w.out, `]}]`...)
	if w.r.Parallel != nil && !*w.r.Parallel {
		w.r.Loss.Drop(dialect.CParallel)
	}
	return w.choice()
}

func (w *requestWriter) choice() *llmprovider.Error {
	c := &w.r.Choice
	mode := ""
	switch c.Mode {
	case 0:
		return nil
	case dialect.ChoiceAuto:
		mode = "AUTO"
	case dialect.ChoiceNone:
		mode = "NONE"
	case dialect.ChoiceSubset:
		if !c.Must {
			return w.r.Refuse(dialect.CChoiceSubset, "it can be told to use some of the tools only if it must use one")
		}
		mode = "ANY"
	default:
		mode = "ANY"
	}
	w.begin("toolConfig")
	w.out = append(w.out, `{"functionCallingConfig":{"mode":"`+mode+`"`...)
	if len(c.Names) > 0 {
		w.out = append(w.out, `,"allowedFunctionNames":[`...)
		for i, n := range c.Names {
			if !w.hasTool(n) {
				return dialect.Invalid(w.r.API.Paths[dialect.CChoice], "the name of one of the tools")
			}
			w.out = comma(w.out, i)
			w.out = jsonscan.AppendString(w.out, n)
		}
		w.out = append(w.out, ']')
	}
	w.out = append(w.out, `}}`...)
	return nil
}

func (w *requestWriter) hasTool(name string) bool {
	for i := range w.r.Tools {
		if w.r.Tools[i].Name == name {
			return true
		}
	}
	return false
}
