package converse

import (
	"bytes"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// requestWriter writes one request.
type requestWriter struct {
	dialect.RequestWriter
	waiting *dialect.Cache // a marker that cannot stand where the client has it

	// Of the block that was written last: whether a marker may follow it, and whether
	// one does.
	markable, marked bool
}

// writeRequest implements dialect.API. The model and whether to stream stand in the
// path, which is the provider's to write.
func writeRequest(r *dialect.Request, target dialect.Target) ([]byte, *llmprovider.Error) {
	if err := target.NeedModel(); err != nil {
		return nil, err
	}
	w := &requestWriter{RequestWriter: dialect.NewRequestWriter(r, target)}
	if r.Count {
		w.Out = append(w.Out, `"input":{"converse":{`...)
	} else if err := w.settings(); err != nil {
		return nil, err
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
	if r.Count {
		w.Out = append(w.Out, `}}`...)
	}
	return w.Finish(), nil
}

func (w *requestWriter) settings() *llmprovider.Error {
	s, p := &w.R.Settings, w.Target.Profile
	if err := w.OneChoice(); err != nil {
		return err
	}
	if err := w.NoLogProbs(); err != nil {
		return err
	}
	switch {
	case s.Format.Kind == dialect.FormatJSON:
		return w.R.Refuse(dialect.CFormat, "it has no JSON mode without a schema; send a json_schema")
	case s.Format.Kind == dialect.FormatSchema && p.NoSchema:
		return w.R.Refuse(dialect.CFormat, "the model has no structured output")
	}
	w.Drop(dialect.CPresencePenalty, s.PresencePenalty)
	w.Drop(dialect.CFrequencyPenalty, s.FrequencyPenalty)
	w.NoTuning()
	w.Drop(dialect.CSeed, s.Seed)
	w.Drop(dialect.CUser, s.User)
	w.Drop(dialect.CMetadata, s.Metadata)
	w.inference()
	switch tier := jsonscan.Text(s.ServiceTier); tier {
	case "", "auto":
	case "default", "flex", "priority":
		w.Member("serviceTier", dialect.JSON(`{"type":"`+tier+`"}`))
	default:
		w.R.Loss.Drop(dialect.CServiceTier)
	}
	if p.TopK && s.TopK != nil && !p.NoSampling {
		w.Member("additionalModelRequestFields", dialect.JSON(`{"top_k":`+string(s.TopK)+`}`))
	} else {
		w.Drop(dialect.CTopK, s.TopK)
	}
	w.output()
	return nil
}

func (w *requestWriter) inference() {
	s := &w.R.Settings
	n := len(w.Out)
	w.Begin("inferenceConfig")
	w.Out = append(w.Out, '{')
	open := len(w.Out)
	w.Member("maxTokens", s.MaxOutput)
	w.Sampling("temperature", "topP")
	w.Values("stopSequences", s.Stop)
	if len(w.Out) == open {
		w.Out = w.Out[:n]
		return
	}
	w.Out = append(w.Out, '}')
}

// output writes the effort, for models that take a word for it, and the form of the
// response.
func (w *requestWriter) output() {
	s, f := &w.R.Settings, &w.R.Settings.Format
	effort := s.Effort
	if _, off := w.Thinks(); s.Summary && !off {
		w.R.Loss.Drop(dialect.CSummary)
	}
	if w.Target.Profile.Reasoning != "effort" || effort == dialect.EffortNone {
		if asked, _ := w.Thinks(); asked {
			w.R.Loss.Drop(dialect.CEffort)
		}
		effort = ""
	}
	if effort == dialect.EffortMinimal {
		effort = dialect.EffortLow
		w.R.Loss.Approximate(dialect.CEffort)
	}
	if effort == "" && f.Kind == 0 {
		return
	}
	w.Begin("outputConfig")
	w.Out = append(w.Out, '{')
	if effort != "" {
		w.Begin("effort")
		w.Out = jsonscan.AppendString(w.Out, string(effort))
	}
	if f.Kind == dialect.FormatSchema {
		w.Begin("textFormat")
		w.Out = append(w.Out, `{"type":"json_schema","structure":{"jsonSchema":{"schema":"`...)
		w.Out = jsonscan.AppendEscaped(w.Out, f.Schema)
		w.Out = append(w.Out, '"')
		w.Member("name", f.Name)
		w.Member("description", f.Description)
		w.Out = append(w.Out, `}}}`...)
	}
	w.Out = append(w.Out, '}')
}

// called returns the names of the tools that the conversation calls, in their order.
func (w *requestWriter) called() []string {
	var names []string
	seen := make(map[string]bool)
	for i := range w.R.Turns {
		for j := range w.R.Turns[i].Parts {
			if call := w.R.Turns[i].Parts[j].Call; call != nil && !seen[call.Name] {
				seen[call.Name] = true
				names = append(names, call.Name)
			}
		}
	}
	return names
}

// tools writes the tools. A conversation with calls needs them, whatever the request
// says; and there is no way to forbid them but to leave them out.
func (w *requestWriter) tools() *llmprovider.Error {
	called := w.called()
	if w.R.Choice.Mode == dialect.ChoiceNone {
		if len(called) == 0 {
			return nil
		}
		w.R.Loss.Approximate(dialect.CChoice)
	}
	if len(w.R.Tools) == 0 && len(called) == 0 {
		return nil
	}
	w.Begin("toolConfig")
	w.Out = append(w.Out, `{"tools":[`...)
	if len(w.R.Tools) == 0 {
		w.R.Loss.Approximate(dialect.CTool)
		for i, name := range called {
			w.Comma(i)
			w.String(`{"toolSpec":{"name":`, name)
			w.Out = append(w.Out, `,"inputSchema":{"json":{"type":"object"}}}}`...)
		}
	}
	for i := range w.R.Tools {
		w.Comma(i)
		if err := w.tool(&w.R.Tools[i]); err != nil {
			return err
		}
	}
	w.Out = append(w.Out, ']')
	w.DropParallel()
	if err := w.choice(); err != nil {
		return err
	}
	w.Out = append(w.Out, '}')
	return nil
}

func (w *requestWriter) tool(t *dialect.Tool) *llmprovider.Error {
	if err := w.Function(t); err != nil {
		return err
	}
	w.String(`{"toolSpec":{"name":`, t.Name)
	if len(t.Description) > 2 { // an empty one is refused
		w.Member("description", t.Description)
	}
	w.Out = append(w.Out, `,"inputSchema":{"json":`...)
	switch {
	case t.Kind == dialect.Custom:
		w.Out = append(w.Out, dialect.CustomSchema...)
	case t.Schema != nil:
		w.Out = append(w.Out, t.Schema...)
	default:
		w.Out = append(w.Out, `{"type":"object"}`...)
	}
	w.Out = append(w.Out, '}')
	if t.Strict != nil && *t.Strict {
		if w.Target.Profile.NoStrictTools {
			w.R.Loss.Drop(dialect.CStrict)
		} else {
			w.Out = append(w.Out, `,"strict":true`...)
		}
	}
	w.Out = append(w.Out, `}}`...)
	if w.Target.Profile.NoToolCache {
		w.DropCache(t.Cache)
	} else {
		w.cache(t.Cache)
	}
	return nil
}

func (w *requestWriter) choice() *llmprovider.Error {
	c := &w.R.Choice
	switch c.Mode {
	case dialect.ChoiceAuto:
		w.Out = append(w.Out, `,"toolChoice":{"auto":{}}`...)
	case dialect.ChoiceAny:
		w.Out = append(w.Out, `,"toolChoice":{"any":{}}`...)
	case dialect.ChoiceNamed:
		if _, err := w.Tool(c.Names[0]); err != nil {
			return err
		}
		w.String(`,"toolChoice":{"tool":{"name":`, c.Names[0])
		w.Out = append(w.Out, `}}`...)
	case dialect.ChoiceSubset:
		return w.R.Refuse(dialect.CChoiceSubset, "it cannot be told to use some of the tools; send those alone")
	}
	return nil
}

// cache writes a cache marker as a block after the one that it marks.
func (w *requestWriter) cache(c *dialect.Cache) {
	switch {
	case c == nil:
	case !w.Target.Profile.CacheControl:
		w.R.Loss.Drop(dialect.CCache)
	case c.TTL > 300:
		if c.TTL != 3600 {
			w.R.Loss.Approximate(dialect.CCache)
		}
		w.Out = append(w.Out, `,{"cachePoint":{"type":"default","ttl":"1h"}}`...)
	default:
		w.Out = append(w.Out, `,{"cachePoint":{"type":"default"}}`...)
	}
}

// documentName returns a name in the characters that the API takes, from the
// source's.
func documentName(name dialect.JSON) []byte {
	text := jsonscan.Plain(name)
	if i := bytes.LastIndexByte(text, '.'); i > 0 {
		text = text[:i]
	}
	out := make([]byte, 0, len(text))
	for _, c := range text {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '(', c == ')', c == '[', c == ']':
			out = append(out, c)
		case len(out) > 0 && out[len(out)-1] != ' ':
			out = append(out, ' ')
		}
	}
	if out = bytes.TrimSpace(out); len(out) == 0 {
		return []byte("document")
	}
	return out[:min(len(out), 200)]
}
