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

// requestWriter writes one request. What is stable from turn to turn comes first,
// the messages last, so that a provider's cache of prefixes holds.
type requestWriter struct {
	r      *dialect.Request
	target dialect.Target
	out    []byte
	marks  int // cache markers written
}

// writeRequest implements dialect.API.
func writeRequest(r *dialect.Request, target dialect.Target) ([]byte, *llmprovider.Error) {
	if err := target.NeedModel(); err != nil {
		return nil, err
	}
	w := &requestWriter{r: r, target: target, out: make([]byte, 0, 4096)}
	w.out = append(w.out, `{"model":`...)
	w.out = jsonscan.AppendString(w.out, target.Model)
	if !r.Count {
		if err := w.settings(); err != nil {
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
	if err := w.messages(r.Turns[leading:]); err != nil {
		return nil, err
	}
	return append(w.out, '}'), nil
}

func isSystem(t *dialect.Turn) bool { return t.Role == dialect.System || t.Role == dialect.Developer }

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
	s := &w.r.Settings
	if err := w.refuseSettings(); err != nil {
		return err
	}
	limit := w.maxTokens()
	budget := w.thinkingBudget(limit)
	if budget >= limit && s.MaxOutput == nil {
		limit = budget + limit
	}
	w.out = append(w.out, `,"max_tokens":`...)
	if s.MaxOutput != nil {
		w.out = append(w.out, s.MaxOutput...)
	} else {
		w.out = strconv.AppendInt(w.out, int64(limit), 10)
	}
	if w.target.Stream {
		w.out = append(w.out, `,"stream":true`...)
	}
	w.sampling(budget > 0)
	if len(s.Stop) > 0 {
		w.out = append(w.out, `,"stop_sequences":[`...)
		for i, stop := range s.Stop {
			w.out = comma(w.out, i)
			w.out = append(w.out, stop...)
		}
		w.out = append(w.out, ']')
	}
	if s.User != nil {
		w.out = append(w.out, `,"metadata":{"user_id":`...)
		w.out = append(w.out, s.User...)
		w.out = append(w.out, '}')
	}
	switch jsonscan.Text(s.ServiceTier) {
	case "":
	case "auto":
		w.out = append(w.out, `,"service_tier":"auto"`...)
	case "default":
		w.out = append(w.out, `,"service_tier":"standard_only"`...)
		w.r.Loss.Approximate(dialect.CServiceTier)
	default:
		w.r.Loss.Drop(dialect.CServiceTier)
	}
	if s.Cache != nil {
		w.cache(s.Cache)
	}
	w.thinking(budget)
	return w.outputConfig()
}

// refuseSettings refuses what the client would miss, and drops what only tunes.
func (w *requestWriter) refuseSettings() *llmprovider.Error {
	s := &w.r.Settings
	switch {
	case s.Candidates != nil && string(s.Candidates) != "1":
		return w.r.Refuse(dialect.CCandidates, "it answers with one choice")
	case string(s.LogProbs) == "true":
		return w.r.Refuse(dialect.CLogProbs, "it has no log probabilities")
	case s.Format.Kind == dialect.FormatJSON:
		return w.r.Refuse(dialect.CFormat, "it has no JSON mode without a schema; send a json_schema")
	}
	w.drop(dialect.CPresencePenalty, s.PresencePenalty)
	w.drop(dialect.CFrequencyPenalty, s.FrequencyPenalty)
	w.drop(dialect.CLogitBias, s.LogitBias)
	w.drop(dialect.CSeed, s.Seed)
	w.drop(dialect.CVerbosity, s.Verbosity)
	w.drop(dialect.CMetadata, s.Metadata)
	w.drop(dialect.CCacheKey, s.CacheKey)
	if s.Store != nil && *s.Store {
		w.r.Loss.Drop(dialect.CStore)
	}
	return nil
}

// maxTokens is the output cap as a number.
func (w *requestWriter) maxTokens() int {
	if n, err := strconv.Atoi(string(w.r.Settings.MaxOutput)); err == nil {
		return n
	}
	if w.target.MaxOutput > 0 {
		return w.target.MaxOutput
	}
	return defaultMaxTokens
}

// sampling writes what steers the choice of words. Models that reject it, and those
// that reason within a budget, get none; temperature and top_p exclude each other.
func (w *requestWriter) sampling(reasons bool) {
	s := &w.r.Settings
	if w.target.Profile.NoSampling || reasons {
		w.drop(dialect.CTemperature, s.Temperature)
		w.drop(dialect.CTopP, s.TopP)
		w.drop(dialect.CTopK, s.TopK)
		return
	}
	if s.Temperature != nil {
		if n, err := strconv.ParseFloat(string(s.Temperature), 64); err == nil && n > 1 {
			w.member("temperature", dialect.JSON("1"))
			w.r.Loss.Approximate(dialect.CTemperature)
		} else {
			w.member("temperature", s.Temperature)
		}
		w.drop(dialect.CTopP, s.TopP)
	} else {
		w.member("top_p", s.TopP)
	}
	w.member("top_k", s.TopK)
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
	s, p := &w.r.Settings, w.target.Profile
	if p.Reasoning != "budget" || s.Thinking == dialect.ThinkingOff || s.Effort == dialect.EffortNone {
		return 0
	}
	budget := 0
	if n, err := strconv.Atoi(string(s.Budget)); err == nil && n > 0 {
		budget = max(n, minBudget)
	} else if budget = p.Budgets[s.Effort]; budget == 0 {
		budget = budgets[s.Effort]
	}
	switch {
	case budget == 0:
		return 0
	case w.r.Choice.Mode == dialect.ChoiceAny || w.r.Choice.Mode == dialect.ChoiceNamed: // excluded by the API
		w.r.Loss.Drop(dialect.CEffort)
		return 0
	}
	w.r.Loss.Approximate(dialect.CEffort)
	if s.MaxOutput != nil && budget >= limit {
		if budget = limit - 1; budget < minBudget {
			w.r.Loss.Drop(dialect.CEffort)
			return 0
		}
	}
	return budget
}

func (w *requestWriter) thinking(budget int) {
	s, p := &w.r.Settings, w.target.Profile
	asked := s.Effort != "" && s.Effort != dialect.EffortNone || s.Thinking == dialect.ThinkingOn || s.Thinking == dialect.ThinkingAdaptive
	switch {
	case budget > 0:
		w.out = append(w.out, `,"thinking":{"type":"enabled","budget_tokens":`...)
		w.out = strconv.AppendInt(w.out, int64(budget), 10)
		w.out = append(w.out, '}')
	case s.Thinking == dialect.ThinkingOff || s.Effort == dialect.EffortNone:
		if p.Reasoning != "none" {
			w.out = append(w.out, `,"thinking":{"type":"disabled"}`...)
		}
	case !asked, p.Reasoning == "budget":
	case p.Reasoning == "none":
		w.r.Loss.Drop(dialect.CEffort)
	default:
		w.out = append(w.out, `,"thinking":{"type":"adaptive"}`...)
	}
}

// outputConfig writes the effort, for models that take a word for it, and the form
// of the response.
func (w *requestWriter) outputConfig() *llmprovider.Error {
	s, p := &w.r.Settings, w.target.Profile
	effort := s.Effort
	if s.Thinking == dialect.ThinkingOff || effort == dialect.EffortNone || p.Reasoning == "budget" || p.Reasoning == "none" {
		effort = ""
	} else if effort == "" && s.Budget != nil {
		effort = dialect.EffortOf(s.Budget)
		w.r.Loss.Approximate(dialect.CBudget)
	}
	if other, ok := p.Efforts[effort]; ok {
		effort = other
		w.r.Loss.Approximate(dialect.CEffort)
	} else if effort == dialect.EffortMinimal {
		effort = dialect.EffortLow
		w.r.Loss.Approximate(dialect.CEffort)
	}
	f := &s.Format
	if effort == "" && f.Kind == 0 {
		return nil
	}
	w.out = append(w.out, `,"output_config":{`...)
	if effort != "" {
		w.out = append(w.out, `"effort":`...)
		w.out = jsonscan.AppendString(w.out, string(effort))
	}
	if f.Kind == dialect.FormatSchema {
		if p.NoSchema {
			return w.r.Refuse(dialect.CFormat, "the model has no structured output")
		}
		if effort != "" {
			w.out = append(w.out, ',')
		}
		if f.Name != nil || f.Description != nil {
			w.r.Loss.Drop(dialect.CFormatName)
		}
		w.out = append(w.out, `"format":{"type":"json_schema"`...)
		w.member("schema", f.Schema)
		w.out = append(w.out, '}')
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
		w.out = comma(w.out, i)
		if err := w.tool(&w.r.Tools[i]); err != nil {
			return err
		}
	}
	w.out = append(w.out, ']')
	return w.choice()
}

func (w *requestWriter) tool(t *dialect.Tool) *llmprovider.Error {
	if t.Kind == dialect.Hosted {
		return w.r.Refuse(dialect.CHostedTool, "it does not run tools of another vendor")
	}
	w.out = append(w.out, `{"name":`...)
	w.out = jsonscan.AppendString(w.out, t.Name)
	w.member("description", t.Description)
	switch {
	case t.Grammar != nil:
		return w.r.Refuse(dialect.CGrammar, "its tools take JSON and no other grammar")
	case t.Kind == dialect.Custom:
		w.r.Loss.Approximate(dialect.CCustomTool)
		w.out = append(w.out, `,"input_schema":{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}`...)
	case t.Schema != nil:
		w.member("input_schema", t.Schema)
	default:
		w.out = append(w.out, `,"input_schema":{"type":"object","properties":{}}`...)
	}
	if t.Strict != nil {
		if w.target.Profile.NoStrictTools {
			w.r.Loss.Drop(dialect.CStrict)
		} else if *t.Strict {
			w.out = append(w.out, `,"strict":true`...)
		}
	}
	w.cache(t.Cache)
	w.out = append(w.out, '}')
	return nil
}

func (w *requestWriter) choice() *llmprovider.Error {
	c := &w.r.Choice
	kind := ""
	switch c.Mode {
	case dialect.ChoiceAuto:
		kind = "auto"
	case dialect.ChoiceAny:
		kind = "any"
	case dialect.ChoiceNone:
		w.out = append(w.out, `,"tool_choice":{"type":"none"}`...)
		return nil
	case dialect.ChoiceNamed:
		if !w.hasTool(c.Names[0]) {
			return dialect.Invalid(w.r.API.Paths[dialect.CChoice], "the name of one of the tools")
		}
		kind = "tool"
	case dialect.ChoiceSubset:
		return w.r.Refuse(dialect.CChoiceSubset, "it cannot be told to use some of the tools; send those alone")
	default:
		if w.r.Parallel == nil || *w.r.Parallel {
			return nil
		}
		kind = "auto"
	}
	w.out = append(w.out, `,"tool_choice":{"type":"`+kind+`"`...)
	if kind == "tool" {
		w.out = append(w.out, `,"name":`...)
		w.out = jsonscan.AppendString(w.out, c.Names[0])
	}
	if w.r.Parallel != nil && !*w.r.Parallel {
		w.out = append(w.out, `,"disable_parallel_tool_use":true`...)
	}
	w.out = append(w.out, '}')
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

// comma appends the comma before every element but the first.
func comma(out []byte, i int) []byte {
	if i > 0 {
		out = append(out, ',')
	}
	return out
}
