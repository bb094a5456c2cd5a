package gemini

import (
	"strconv"
	"strings"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// requestWriter writes one request.
type requestWriter struct {
	dialect.RequestWriter
	nested bool // in generateContentRequest
}

// writeRequest implements dialect.API. The model and whether to stream stand in the
// path, which is the provider's to write.
func writeRequest(r *dialect.Request, target dialect.Target) ([]byte, *llmprovider.Error) {
	if err := target.NeedModel(); err != nil {
		return nil, err
	}
	w := &requestWriter{RequestWriter: dialect.NewRequestWriter(r, target)}
	if !r.Count {
		w.config()
	}
	if r.Count && !target.Profile.FlatCount && (len(r.Tools) > 0 || len(r.Turns) > 0 && r.Turns[0].IsSystem()) {
		// Google's own endpoint takes more than the contents in a request of its own.
		w.String(`"generateContentRequest":{"model":`, "models/"+strings.TrimPrefix(target.Model, "models/"))
		w.nested = true
	}
	if err := w.tools(); err != nil {
		return nil, err
	}
	system, rest := r.Leading()
	if err := w.system(system); err != nil {
		return nil, err
	}
	if err := w.contents(rest); err != nil {
		return nil, err
	}
	if w.nested {
		w.Out = append(w.Out, '}')
	}
	return w.Finish(), nil
}

func (w *requestWriter) config() {
	s := &w.R.Settings
	w.NoTuning()
	w.DropCache(s.Cache)
	w.Drop(dialect.CUser, s.User)
	w.Drop(dialect.CMetadata, s.Metadata)
	switch tier := jsonscan.Text(s.ServiceTier); tier {
	case "", "auto":
	case "default":
		w.Member("serviceTier", dialect.JSON(`"standard"`))
	case "flex", "priority":
		w.Member("serviceTier", s.ServiceTier)
	default:
		w.R.Loss.Drop(dialect.CServiceTier)
	}
	w.Begin("generationConfig")
	w.Out = append(w.Out, '{')
	limit := s.MaxOutput
	if limit == nil && w.Target.MaxOutput > 0 {
		limit = strconv.AppendInt(nil, int64(w.Target.MaxOutput), 10)
	}
	w.Member("maxOutputTokens", limit)
	w.Sampling("temperature", "topP")
	if w.Target.Profile.NoSampling {
		w.Drop(dialect.CTopK, s.TopK)
	} else {
		w.Member("topK", s.TopK)
	}
	w.Member("presencePenalty", s.PresencePenalty)
	w.Member("frequencyPenalty", s.FrequencyPenalty)
	w.Member("seed", s.Seed)
	w.Member("candidateCount", s.Candidates)
	if dialect.IsTrue(s.LogProbs) {
		w.Member("responseLogprobs", s.LogProbs)
		w.Member("logprobs", s.TopLogProbs)
	}
	w.Values("stopSequences", s.Stop)
	switch f := &s.Format; f.Kind {
	case dialect.FormatJSON:
		w.Member("responseMimeType", dialect.JSON(`"application/json"`))
	case dialect.FormatSchema:
		if f.Name != nil || f.Description != nil {
			w.R.Loss.Drop(dialect.CFormatName)
		}
		w.Member("responseMimeType", dialect.JSON(`"application/json"`))
		w.Member("responseJsonSchema", w.schema(f.Schema, dialect.CFormat))
	}
	w.thinking()
	if w.Out[len(w.Out)-1] == '{' { // nothing was said
		w.Out = w.Out[:len(w.Out)-len(`"generationConfig":{`)]
		if w.Out[len(w.Out)-1] == ',' {
			w.Out = w.Out[:len(w.Out)-1]
		}
		return
	}
	w.Out = append(w.Out, '}')

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

// minBudget is the smallest budget of models that always reason.
const minBudget = 128

// thinking writes how much the model is to reason: by a level, or by a budget for
// models before Gemini 3. Clients of other APIs are shown the thoughts.
func (w *requestWriter) thinking() {
	s, p := &w.R.Settings, w.Target.Profile
	effort := s.Effort
	_, off := w.Thinks()
	if off {
		effort = dialect.EffortNone
	}
	if w.NoReasoning() || effort == "" && !w.Shows() {
		return
	}
	w.Begin("thinkingConfig")
	w.Out = append(w.Out, '{')
	switch {
	case p.Reasoning == "budget" && s.Budget != nil:
		w.Member("thinkingBudget", s.Budget)
	case p.Reasoning == "budget" && effort != "":
		budget, ok := p.Budgets[effort]
		if !ok {
			budget = budgets[effort]
		}
		if budget == 0 && p.AlwaysThinks {
			budget = minBudget
			w.R.Loss.Approximate(dialect.CEffort)
		}
		w.Member("thinkingBudget", strconv.AppendInt(nil, int64(budget), 10))
		if effort != dialect.EffortNone {
			w.R.Loss.Approximate(dialect.CEffort)
		}
	case p.Reasoning == "budget":
	default:
		if effort == "" && s.Budget != nil {
			effort = dialect.EffortOf(s.Budget)
			w.R.Loss.Approximate(dialect.CBudget)
		}
		if level := levels[effort]; level != "" {
			if effort == dialect.EffortNone || effort == dialect.EffortXHigh || effort == dialect.EffortMax {
				w.R.Loss.Approximate(dialect.CEffort)
			}
			w.Member("thinkingLevel", dialect.JSON(`"`+level+`"`))
		} else if effort != "" {
			w.R.Loss.Drop(dialect.CEffort)
		}
	}
	if w.Shows() {
		w.Member("includeThoughts", dialect.JSON("true"))
	}
	w.Out = append(w.Out, '}')
}

// schema returns a schema as the API takes it.
func (w *requestWriter) schema(schema dialect.JSON, c dialect.Concept) dialect.JSON {
	if schema == nil {
		return nil
	}
	out, exact := inlined(schema)
	if !exact {
		w.R.Loss.Approximate(c)
	}
	return out
}

func (w *requestWriter) tools() *llmprovider.Error {
	if len(w.R.Tools) == 0 {
		return nil
	}
	w.Begin("tools")
	w.Out = append(w.Out, `[{"functionDeclarations":[`...)
	for i := range w.R.Tools {
		t := &w.R.Tools[i]
		if err := w.Function(t); err != nil {
			return err
		}
		w.Comma(i)
		w.String(`{"name":`, t.Name)
		w.Member("description", t.Description)
		if t.Kind == dialect.Custom {
			w.Member("parametersJsonSchema", dialect.JSON(dialect.CustomSchema))
		} else {
			w.Member("parametersJsonSchema", w.schema(t.Schema, dialect.CToolSchema))
		}
		if t.Strict != nil && *t.Strict {
			w.R.Loss.Drop(dialect.CStrict)
		}
		w.DropCache(t.Cache)
		w.Out = append(w.Out, '}')
	}
	w.Out = append(w.Out, `]}]`...)
	w.DropParallel()
	return w.choice()
}

func (w *requestWriter) choice() *llmprovider.Error {
	c := &w.R.Choice
	mode := ""
	if w.CannotForce() {
		return nil
	}
	switch c.Mode {
	case 0:
		return nil
	case dialect.ChoiceAuto:
		mode = "AUTO"
	case dialect.ChoiceNone:
		mode = "NONE"
	case dialect.ChoiceSubset:
		if !c.Must {
			return w.R.Refuse(dialect.CChoiceSubset, "it can be told to use some of the tools only if it must use one")
		}
		mode = "ANY"
	default:
		mode = "ANY"
	}
	w.Begin("toolConfig")
	w.Out = append(w.Out, `{"functionCallingConfig":{"mode":"`+mode+`"`...)
	if len(c.Names) > 0 {
		w.Out = append(w.Out, `,"allowedFunctionNames":[`...)
		for i, n := range c.Names {
			if _, err := w.Tool(n); err != nil {
				return err
			}
			w.Comma(i)
			w.Out = jsonscan.AppendString(w.Out, n)
		}
		w.Out = append(w.Out, ']')
	}
	w.Out = append(w.Out, `}}`...)
	return nil
}
