package messages

import (
	"strconv"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

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
	case w.R.Choice.Forced(), w.lostThought(): // excluded by the API
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

// lostThought reports whether the results of calls come back without the reasoning that
// led to the calls, as clients do that keep no state. A model that thinks with a budget is
// then not asked to: the API wants the turn with the calls to begin with reasoning
// (https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking). Of a row of calls
// and results, only the first has it.
func (w *requestWriter) lostThought() bool {
	called := false
	for i := len(w.R.Turns) - 1; i >= 0; i-- {
		t := &w.R.Turns[i]
		results := false
		for j := range t.Parts {
			p := &t.Parts[j]
			if p.Kind == dialect.Reasoning && (p.Thought.Data.From(Vendor) || p.Thought.Signature.From(Vendor)) {
				return false
			}
			called = called || p.Kind == dialect.ToolCall
			results = results || p.Kind == dialect.ToolResult
		}
		if t.Role == dialect.User && !results {
			break // what the calls are for
		}
	}
	return called
}

// adaptive reports whether the model is asked to reason as it sees fit, which is so as well
// if the client says no more than that it wants to see the reasoning. It cannot be
// where it must call a tool, unless it reasons anyway
// (https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking).
func (w *requestWriter) adaptive() bool {
	p := w.Target.Profile
	return w.Shows() && p.Reasoning != "budget" && p.Reasoning != "none" && (p.AlwaysThinks || !w.R.Choice.Forced())
}

func (w *requestWriter) thinking(budget int) {
	p := w.Target.Profile
	asked, off := w.Thinks()
	if budget == 0 && w.R.Settings.Summary && !off && !w.adaptive() {
		w.R.Loss.Drop(dialect.CSummary)
	}
	switch {
	case w.NoReasoning():
	case budget > 0:
		w.Out = append(w.Out, `,"thinking":{"type":"enabled","budget_tokens":`...)
		w.Out = strconv.AppendInt(w.Out, int64(budget), 10)
		w.Out = append(w.Out, '}')
	case off && p.AlwaysThinks:
		w.R.Loss.Drop(dialect.CEffort)
	case off:
		w.Out = append(w.Out, `,"thinking":{"type":"disabled"}`...)
	case w.adaptive():
		// Since Opus 4.7 the text is hidden unless it is asked for. Of servers with models of
		// others it is not known that they take the member.
		if p.Vendor == Vendor {
			w.Out = append(w.Out, `,"thinking":{"type":"adaptive","display":"summarized"}`...)
		} else {
			w.Out = append(w.Out, `,"thinking":{"type":"adaptive"}`...)
		}
	case !asked, p.Reasoning == "budget":
	default: // the effort alone is written
		w.R.Loss.Approximate(dialect.CEffort)
	}
}

// outputConfig writes the effort, for models that take a word for it, and the form
// of the response.
func (w *requestWriter) outputConfig() *llmprovider.Error {
	s, p := &w.R.Settings, w.Target.Profile
	var effort dialect.Effort
	if p.Reasoning != "budget" && p.Reasoning != "none" {
		if effort = w.Effort(); effort == dialect.EffortNone { // thinking says it
			effort = ""
		}
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
		schema, err := w.kept(f.Schema, dialect.CFormat)
		if err != nil {
			return err
		}
		w.Out = append(w.Out, `"format":{"type":"json_schema"`...)
		w.Member("schema", schema)
		w.Out = append(w.Out, '}')
	}
	w.Out = append(w.Out, '}')
	return nil
}
