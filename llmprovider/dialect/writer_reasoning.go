package dialect

// Effort returns how much the model is to reason, in words: as the client says it, or
// as the word that stands for its budget. It is empty if the client does not say.
func (w *RequestWriter) Effort() Effort {
	s := &w.R.Settings
	switch {
	case s.Thinking == ThinkingOff:
		return EffortNone
	case s.Effort == "" && s.Budget != nil:
		w.R.Loss.Approximate(CBudget)
		return EffortOf(s.Budget)
	}
	return s.Effort
}

// ProfileEffort returns the vendor's word for an effort, and whether its profile has
// one for it; it is empty if the vendor has none.
func (w *RequestWriter) ProfileEffort(e Effort) (word Effort, ok bool) {
	word, ok = w.Target.Profile.Efforts[e]
	switch {
	case !ok:
		return e, false
	case word != "" && word != e:
		w.R.Loss.Approximate(CEffort)
	}
	return word, true
}

// Thinks returns whether the client wants the model to reason, and whether it wants it
// not to. Neither is if it does not say.
func (w *RequestWriter) Thinks() (on, off bool) {
	s := &w.R.Settings
	off = s.Thinking == ThinkingOff || s.Thinking == 0 && s.Effort == EffortNone
	return !off && (s.Effort != "" || s.Thinking != 0), off
}

// NoReasoning reports whether the model does not reason, so that its API rejects whatever
// says how much. It notes the loss.
func (w *RequestWriter) NoReasoning() bool {
	if w.Target.Profile.Reasoning != "none" {
		return false
	}
	on, off := w.Thinks()
	if w.R.Settings.Summary && !off {
		w.R.Loss.Drop(CSummary)
	}
	switch s := &w.R.Settings; {
	case !on:
	case s.Effort != "":
		w.R.Loss.Drop(CEffort)
	case s.Budget != nil:
		w.R.Loss.Drop(CBudget)
	default:
		w.R.Loss.Drop(CThinking)
	}
	return true
}

// Shows reports whether the client is to see the text of the reasoning, which is so for all
// that want the model to reason: other APIs show it unasked, or hide it unless it is asked for.
func (w *RequestWriter) Shows() bool {
	on, off := w.Thinks()
	return on || w.R.Settings.Summary && !off
}

// CannotForce reports whether the client wants the model to call a tool and the model
// cannot be made to. It notes the loss.
func (w *RequestWriter) CannotForce() bool {
	if !w.R.Choice.Forced() || !w.Target.Profile.NoForcedTools {
		return false
	}
	w.R.Loss.Approximate(CChoice)
	return true
}
