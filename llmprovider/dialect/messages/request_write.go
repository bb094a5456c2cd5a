package messages

import (
	"strconv"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// defaultMaxTokens is the output cap unless the client or the provider's
// configuration has one: the API needs it.
const defaultMaxTokens = 8192

// requestWriter writes one request.
type requestWriter struct {
	dialect.RequestWriter
	marks int // cache markers written
}

// writeRequest implements dialect.API.
func writeRequest(r *dialect.Request, target dialect.Target) ([]byte, *llmprovider.Error) {
	if err := target.NeedModel(); err != nil {
		return nil, err
	}
	w := &requestWriter{RequestWriter: dialect.NewRequestWriter(r, target)}
	w.String(`"model":`, target.Model)
	if !r.Count {
		if err := w.settings(); err != nil {
			return nil, err
		}
	}
	if err := w.tools(); err != nil {
		return nil, err
	}
	system, rest := r.Leading()
	if err := w.system(system); err != nil {
		return nil, err
	}
	if err := w.messages(rest); err != nil {
		return nil, err
	}
	return w.Finish(), nil
}

func (w *requestWriter) settings() *llmprovider.Error {
	s := &w.R.Settings
	if err := w.refuseSettings(); err != nil {
		return err
	}
	limit := w.maxTokens()
	budget := w.thinkingBudget(limit)
	if budget >= limit && s.MaxOutput == nil {
		limit = budget + limit
	}
	w.Out = append(w.Out, `,"max_tokens":`...)
	if s.MaxOutput != nil {
		w.Out = append(w.Out, s.MaxOutput...)
	} else {
		w.Out = strconv.AppendInt(w.Out, int64(limit), 10)
	}
	if w.Target.Stream {
		w.Out = append(w.Out, `,"stream":true`...)
	}
	w.sampling(budget > 0)
	w.Values("stop_sequences", s.Stop)
	if s.User != nil {
		w.Out = append(w.Out, `,"metadata":{`...)
		w.User("user_id", 256)
		w.Out = append(w.Out, '}')
	}
	switch string(jsonscan.Plain(s.ServiceTier)) {
	case "":
	case "auto":
		w.Out = append(w.Out, `,"service_tier":"auto"`...)
	case "default":
		w.Out = append(w.Out, `,"service_tier":"standard_only"`...)
		w.R.Loss.Approximate(dialect.CServiceTier)
	default:
		w.R.Loss.Drop(dialect.CServiceTier)
	}
	if s.Cache != nil {
		w.cache(s.Cache)
	}
	w.thinking(budget)
	return w.outputConfig()
}

// refuseSettings refuses what the client would miss, and drops what only tunes.
func (w *requestWriter) refuseSettings() *llmprovider.Error {
	s := &w.R.Settings
	if s.Format.Kind == dialect.FormatJSON {
		return w.R.Refuse(dialect.CFormat, "it has no JSON mode without a schema; send a json_schema")
	}
	if err := w.OneChoice(); err != nil {
		return err
	}
	if err := w.NoLogProbs(); err != nil {
		return err
	}
	w.Drop(dialect.CPresencePenalty, s.PresencePenalty)
	w.Drop(dialect.CFrequencyPenalty, s.FrequencyPenalty)
	w.NoTuning()
	w.Drop(dialect.CSeed, s.Seed)
	w.Drop(dialect.CMetadata, s.Metadata)
	return nil
}

// maxTokens is the output cap as a number.
func (w *requestWriter) maxTokens() int {
	if n, err := strconv.Atoi(string(w.R.Settings.MaxOutput)); err == nil {
		return n
	}
	if w.Target.MaxOutput > 0 {
		return w.Target.MaxOutput
	}
	return defaultMaxTokens
}

// sampling writes what steers the choice of words. Models that reject it, and those
// that reason within a budget, get none; temperature and top_p exclude each other.
func (w *requestWriter) sampling(reasons bool) {
	s := &w.R.Settings
	if w.Target.Profile.NoSampling || reasons {
		w.Drop(dialect.CTemperature, s.Temperature)
		w.Drop(dialect.CTopP, s.TopP)
		w.Drop(dialect.CTopK, s.TopK)
		return
	}
	if s.Temperature != nil {
		if n, err := strconv.ParseFloat(string(s.Temperature), 64); err == nil && n > 1 {
			w.Member("temperature", dialect.JSON("1"))
			w.R.Loss.Approximate(dialect.CTemperature)
		} else {
			w.Member("temperature", s.Temperature)
		}
		w.Drop(dialect.CTopP, s.TopP)
	} else {
		w.Member("top_p", s.TopP)
	}
	w.Member("top_k", s.TopK)
}

// budgets are the tokens that stand for a word of effort where a model takes a
// budget, unless its profile says otherwise.
var budgets = map[dialect.Effort]int{
	dialect.EffortMinimal: 1024, dialect.EffortLow: 2048, dialect.EffortMedium: 8192, dialect.EffortHigh: 16384, dialect.EffortXHigh: 32768,
	dialect.EffortMax: 65536,
}

// minBudget is the smallest budget that the API takes.
const minBudget = 1024

// thinkingBudget returns the budget for reasoning of a model that takes one, or 0
// for none. The output cap has to be larger.
func (w *requestWriter) thinkingBudget(limit int) int {
	s, p := &w.R.Settings, w.Target.Profile
	if p.Reasoning != "budget" || s.Thinking == dialect.ThinkingOff || s.Effort == dialect.EffortNone {
		return 0
	}
	budget := 0
	if n, err := strconv.Atoi(string(s.Budget)); err == nil && n > 0 {
		budget = max(n, minBudget)
	} else if budget = p.Budgets[s.Effort]; budget == 0 {
		budget = budgets[s.Effort]
	}
	exact := strconv.Itoa(budget) == string(s.Budget)
	switch {
	case budget == 0:
		return 0
	case w.R.Choice.Mode == dialect.ChoiceAny || w.R.Choice.Mode == dialect.ChoiceNamed: // excluded by the API
		w.R.Loss.Drop(dialect.CEffort)
		return 0
	}
	if !exact {
		w.R.Loss.Approximate(dialect.CEffort)
	}
	if s.MaxOutput != nil && budget >= limit {
		w.R.Loss.Approximate(dialect.CEffort)
		if budget = limit - 1; budget < minBudget {
			w.R.Loss.Drop(dialect.CEffort)
			return 0
		}
	}
	return budget
}

func (w *requestWriter) thinking(budget int) {
	p := w.Target.Profile
	asked, off := w.Thinks()
	switch {
	case budget > 0:
		w.Out = append(w.Out, `,"thinking":{"type":"enabled","budget_tokens":`...)
		w.Out = strconv.AppendInt(w.Out, int64(budget), 10)
		w.Out = append(w.Out, '}')
	case off && p.AlwaysThinks:
		w.R.Loss.Drop(dialect.CEffort)
	case off:
		if p.Reasoning != "none" {
			w.Out = append(w.Out, `,"thinking":{"type":"disabled"}`...)
		}
	case !asked, p.Reasoning == "budget":
	case p.Reasoning == "none":
		w.R.Loss.Drop(dialect.CEffort)
	default:
		w.Out = append(w.Out, `,"thinking":{"type":"adaptive"}`...)
	}
}

// outputConfig writes the effort, for models that take a word for it, and the form
// of the response.
func (w *requestWriter) outputConfig() *llmprovider.Error {
	s, p := &w.R.Settings, w.Target.Profile
	effort := s.Effort
	if s.Thinking == dialect.ThinkingOff || effort == dialect.EffortNone || p.Reasoning == "budget" || p.Reasoning == "none" {
		effort = ""
	} else if effort == "" && s.Budget != nil {
		effort = dialect.EffortOf(s.Budget)
		w.R.Loss.Approximate(dialect.CBudget)
	}
	if other, ok := w.ProfileEffort(effort); ok {
		effort = other
	} else if effort == dialect.EffortMinimal {
		effort = dialect.EffortLow
		w.R.Loss.Approximate(dialect.CEffort)
	}
	f := &s.Format
	if effort == "" && f.Kind == 0 {
		return nil
	}
	w.Out = append(w.Out, `,"output_config":{`...)
	if effort != "" {
		w.String(`"effort":`, string(effort))
	}
	if f.Kind == dialect.FormatSchema {
		if p.NoSchema {
			return w.R.Refuse(dialect.CFormat, "the model has no structured output")
		}
		if effort != "" {
			w.Out = append(w.Out, ',')
		}
		if f.Name != nil || f.Description != nil {
			w.R.Loss.Drop(dialect.CFormatName)
		}
		w.Out = append(w.Out, `"format":{"type":"json_schema"`...)
		w.Member("schema", f.Schema)
		w.Out = append(w.Out, '}')
	}
	w.Out = append(w.Out, '}')
	return nil
}

func (w *requestWriter) tools() *llmprovider.Error {
	if len(w.R.Tools) == 0 {
		return nil
	}
	w.Out = append(w.Out, `,"tools":[`...)
	for i := range w.R.Tools {
		w.Comma(i)
		if err := w.tool(&w.R.Tools[i]); err != nil {
			return err
		}
	}
	w.Out = append(w.Out, ']')
	return w.choice()
}

func (w *requestWriter) tool(t *dialect.Tool) *llmprovider.Error {
	if t.Kind == dialect.Hosted {
		return w.NoHosted()
	}
	w.String(`{"name":`, t.Name)
	w.Member("description", t.Description)
	switch {
	case t.Grammar != nil:
		return w.R.Refuse(dialect.CGrammar, "its tools take JSON and no other grammar")
	case t.Kind == dialect.Custom:
		w.R.Loss.Approximate(dialect.CCustomTool)
		w.Out = append(w.Out, `,"input_schema":`+dialect.CustomSchema...)
	case t.Schema != nil:
		w.Member("input_schema", t.Schema)
	default:
		w.Out = append(w.Out, `,"input_schema":{"type":"object","properties":{}}`...)
	}
	if t.Strict != nil {
		if w.Target.Profile.NoStrictTools {
			w.R.Loss.Drop(dialect.CStrict)
		} else if *t.Strict {
			w.Out = append(w.Out, `,"strict":true`...)
		}
	}
	w.cache(t.Cache)
	w.Out = append(w.Out, '}')
	return nil
}

func (w *requestWriter) choice() *llmprovider.Error {
	c := &w.R.Choice
	kind := ""
	mode := c.Mode
	if w.CannotForce() {
		mode = dialect.ChoiceAuto
	}
	switch mode {
	case dialect.ChoiceAuto:
		kind = "auto"
	case dialect.ChoiceAny:
		kind = "any"
	case dialect.ChoiceNone:
		w.Out = append(w.Out, `,"tool_choice":{"type":"none"}`...)
		return nil
	case dialect.ChoiceNamed:
		if _, err := w.Tool(c.Names[0]); err != nil {
			return err
		}
		kind = "tool"
	case dialect.ChoiceSubset:
		return w.R.Refuse(dialect.CChoiceSubset, "it cannot be told to use some of the tools; send those alone")
	default:
		if w.R.Parallel == nil || *w.R.Parallel {
			return nil
		}
		kind = "auto"
	}
	w.Out = append(w.Out, `,"tool_choice":{"type":"`+kind+`"`...)
	if kind == "tool" {
		w.String(`,"name":`, c.Names[0])
	}
	if w.R.Parallel != nil && !*w.R.Parallel {
		w.Out = append(w.Out, `,"disable_parallel_tool_use":true`...)
	}
	w.Out = append(w.Out, '}')
	return nil
}
