package chat

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// requestWriter writes one request.
type requestWriter struct {
	dialect.RequestWriter
}

// writeRequest implements dialect.API.
func writeRequest(r *dialect.Request, target dialect.Target) ([]byte, *llmprovider.Error) {
	w := &requestWriter{RequestWriter: dialect.NewRequestWriter(r, target)}
	if target.Model != "" { // a server with one model needs none
		w.String(`"model":`, target.Model)
	}
	if target.Stream {
		w.Member("stream", dialect.JSON("true"))
		if !target.NoStreamOptions {
			w.Member("stream_options", dialect.JSON(`{"include_usage":true}`))
		}
	}
	if err := w.settings(); err != nil || w.GivenUp() {
		return nil, err
	}
	if err := w.tools(); err != nil || w.GivenUp() {
		return nil, err
	}
	if err := w.messages(); err != nil || w.GivenUp() {
		return nil, err
	}
	if w.Out[1] == ',' { // the first member has a comma before it where there is no model
		w.Out = w.Out[1:]
		w.Out[0] = '{'
	}
	return w.Finish(), nil
}

func (w *requestWriter) settings() *llmprovider.Error {
	s, p := &w.R.Settings, w.Target.Profile
	w.Member(cmp.Or(p.MaxTokensName, "max_completion_tokens"), s.MaxOutput)
	w.Sampling("temperature", "top_p")
	if p.TopK && !p.NoSampling {
		w.Member("top_k", s.TopK)
	} else {
		w.Drop(dialect.CTopK, s.TopK)
	}
	w.Member("presence_penalty", s.PresencePenalty)
	w.Member("frequency_penalty", s.FrequencyPenalty)
	w.Member("logit_bias", s.LogitBias)
	w.Member(cmp.Or(p.SeedName, "seed"), s.Seed)
	w.Member("n", s.Candidates)
	w.Member("logprobs", s.LogProbs)
	if dialect.IsTrue(s.LogProbs) { // or they are an error
		w.Member("top_logprobs", s.TopLogProbs)
	}
	if len(s.Stop) > 4 {
		return w.R.Refuse(dialect.CStop, "it takes four stop sequences at most")
	}
	w.Values("stop", s.Stop)
	w.Member("verbosity", s.Verbosity)
	w.User("user", 128)
	w.Member("metadata", s.Metadata)
	w.Member("service_tier", s.ServiceTier)
	if s.Store != nil && *s.Store {
		w.Member("store", dialect.JSON("true"))
	}
	w.Member("prompt_cache_key", s.CacheKey)
	if s.Cache != nil && !p.CacheControl {
		w.R.Loss.Drop(dialect.CCache)
	}
	w.effort()
	return w.format()
}

// effort writes how much the model is to reason: as the client says, or as a word
// that stands for its budget.
func (w *requestWriter) effort() {
	s, p := &w.R.Settings, w.Target.Profile
	if s.Summary && p.ReasoningName == "" { // else the vendor shows what the model reasons
		w.R.Loss.Drop(dialect.CSummary)
	}
	if w.NoReasoning() {
		return
	}
	switched := w.thinkingSwitch()
	if s.Budget != nil && p.BudgetName != "" {
		w.Member(p.BudgetName, s.Budget)
		return
	}
	effort := w.Effort()
	switch {
	case p.NoneWithTools && len(w.R.Tools) > 0:
		w.Out = append(w.Out, `,"reasoning_effort":"none"`...)
		if on, _ := w.Thinks(); on && effort == "" {
			w.R.Loss.Drop(dialect.CThinking)
		} else if on && effort != dialect.EffortNone {
			w.R.Loss.Drop(dialect.CEffort)
		}
	case effort == "":
		if on, _ := w.Thinks(); on && !switched { // the model reasons as it sees fit anyway, or not at all
			w.R.Loss.Drop(dialect.CThinking)
		}
	case p.NoEffortWithTools && len(w.R.Tools) > 0:
		w.R.Loss.Drop(dialect.CEffort)
	default:
		switch word, _ := w.ProfileEffort(effort); {
		case word != "":
			w.String(`,"reasoning_effort":`, string(word))
		case !switched || effort != dialect.EffortNone: // else the switch says it
			w.R.Loss.Drop(dialect.CEffort)
		}
	}
}

// thinkingSwitch writes the vendor's own switch of reasoning, and reports whether there
// is one.
func (w *requestWriter) thinkingSwitch() bool {
	name := w.Target.Profile.ThinkingName
	on, off := w.Thinks()
	if name == "" || !on && !off {
		return false
	}
	w.Begin(name)
	switch {
	case name == "thinking" && on:
		w.Out = append(w.Out, `{"type":"enabled"}`...)
	case name == "thinking":
		w.Out = append(w.Out, `{"type":"disabled"}`...)
	default:
		w.Bool(on)
	}
	return true
}

func (w *requestWriter) format() *llmprovider.Error {
	f := &w.R.Settings.Format
	switch {
	case f.Kind == 0:
		return nil
	case f.Kind == dialect.FormatJSON:
		w.Out = append(w.Out, `,"response_format":{"type":"json_object"}`...)
		return nil
	case w.Target.Profile.NoSchema:
		return w.R.Refuse(dialect.CFormat, "it has no structured output by a schema")
	}
	w.Out = append(w.Out, `,"response_format":{"type":"json_schema","json_schema":{"name":`...)
	if f.Name != nil {
		w.Out = append(w.Out, f.Name...)
	} else {
		w.Out = append(w.Out, `"response"`...)
	}
	w.Member("description", f.Description)
	w.Flag("strict", f.Strict)
	w.Member("schema", f.Schema)
	w.Out = append(w.Out, `}}`...)
	return nil
}

func (w *requestWriter) tools() *llmprovider.Error {
	if len(w.R.Tools) == 0 { // a choice among none is refused, so auto, required and none are left out
		for _, name := range w.R.Choice.Names {
			if _, err := w.Tool(name); err != nil {
				return err
			}
		}
		return nil
	}
	w.Out = append(w.Out, `,"tools":[`...)
	for i := range w.R.Tools {
		if w.GivenUp() {
			return nil
		}
		w.Comma(i)
		if err := w.tool(&w.R.Tools[i]); err != nil {
			return err
		}
	}
	w.Out = append(w.Out, ']')
	w.Flag("parallel_tool_calls", w.R.Parallel)
	return w.choice()
}

func (w *requestWriter) tool(t *dialect.Tool) *llmprovider.Error {
	switch {
	case t.Kind == dialect.Hosted:
		return w.NoHosted()
	case t.Kind == dialect.Custom && w.Target.Profile.NoCustomTools:
		if err := w.Function(t); err != nil {
			return err
		}
		w.String(`{"type":"function","function":{"name":`, t.Name)
		w.Member("description", t.Description)
		w.Member("parameters", dialect.JSON(dialect.CustomSchema))
	case t.Kind == dialect.Custom:
		w.String(`{"type":"custom","custom":{"name":`, t.Name)
		w.Member("description", t.Description)
		if t.Grammar != nil { // https://github.com/openai/openai-openapi, CustomToolChatCompletions
			w.Out = append(w.Out, `,"format":{"type":"grammar","grammar":{`...)
			w.Grammar(t.Grammar)
			w.Out = append(w.Out, `}}`...)
		}
	default:
		w.String(`{"type":"function","function":{"name":`, t.Name)
		w.Member("description", t.Description)
		w.Member("parameters", t.Schema)
		if t.Strict != nil && w.Target.Profile.NoStrictTools {
			w.R.Loss.Drop(dialect.CStrict)
		} else {
			w.Flag("strict", t.Strict)
		}
	}
	w.Out = append(w.Out, '}')
	w.cache(t.Cache)
	w.Out = append(w.Out, '}')
	return nil
}

// cache writes a cache marker as Anthropic's API has it, where the provider takes them.
func (w *requestWriter) cache(c *dialect.Cache) {
	switch {
	case c == nil:
	case !w.Target.Profile.CacheControl:
		w.R.Loss.Drop(dialect.CCache)
	default:
		w.Ephemeral(c)
	}
}

func (w *requestWriter) choice() *llmprovider.Error {
	c, p := &w.R.Choice, w.Target.Profile
	if w.CannotForce() {
		w.Out = append(w.Out, `,"tool_choice":"auto"`...)
		return nil
	}
	switch c.Mode {
	case dialect.ChoiceAuto:
		w.Out = append(w.Out, `,"tool_choice":"auto"`...)
	case dialect.ChoiceAny:
		w.String(`,"tool_choice":`, cmp.Or(p.AnyWord, "required"))
	case dialect.ChoiceNone:
		w.Out = append(w.Out, `,"tool_choice":"none"`...)
	case dialect.ChoiceNamed:
		kind, err := w.kindOf(c.Names[0])
		if err != nil {
			return err
		}
		w.Out = append(w.Out, `,"tool_choice":{"type":"`+kind+`","`+kind+`":{"name":`...)
		w.Out = jsonscan.AppendString(w.Out, c.Names[0])
		w.Out = append(w.Out, `}}`...)
	case dialect.ChoiceSubset:
		w.Out = append(w.Out, `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"`...)
		if c.Must {
			w.Out = append(w.Out, `required`...)
		} else {
			w.Out = append(w.Out, `auto`...)
		}
		w.Out = append(w.Out, `","tools":[`...)
		for i, name := range c.Names {
			kind, err := w.kindOf(name)
			if err != nil {
				return err
			}
			w.Comma(i)
			w.Out = append(w.Out, `{"type":"`+kind+`","`+kind+`":{"name":`...)
			w.Out = jsonscan.AppendString(w.Out, name)
			w.Out = append(w.Out, `}}`...)
		}
		w.Out = append(w.Out, `]}}`...)
	}
	return nil
}

// kindOf is the type of the tool of that name.
func (w *requestWriter) kindOf(name string) (string, *llmprovider.Error) {
	t, err := w.Tool(name)
	switch {
	case err != nil:
		return "", err
	case t.Kind == dialect.Custom && !w.Target.Profile.NoCustomTools:
		return "custom", nil
	}
	return "function", nil
}

// toolID returns an id that the provider takes: as it is, or, where a vendor wants
// an exact length, made from it.
func (w *requestWriter) toolID(id string) string {
	n := w.Target.Profile.ToolIDLength
	if n == 0 || len(id) == n && !strings.ContainsAny(id, "_-") {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return base32.StdEncoding.EncodeToString(sum[:])[:n]
}
