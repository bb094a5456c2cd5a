package converse

import (
	"bytes"

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

// writeRequest implements dialect.API. The model and whether to stream stand in the
// path, which is the provider's to write.
func writeRequest(r *dialect.Request, target dialect.Target) ([]byte, *llmprovider.Error) {
	if err := target.NeedModel(); err != nil {
		return nil, err
	}
	w := &requestWriter{r: r, target: target, out: append(make([]byte, 0, 4096), '{')}
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

func (w *requestWriter) settings() *llmprovider.Error {
	s, p := &w.r.Settings, w.target.Profile
	switch {
	case s.Candidates != nil && string(s.Candidates) != "1":
		return w.r.Refuse(dialect.CCandidates, "it answers with one choice")
	case string(s.LogProbs) == "true":
		return w.r.Refuse(dialect.CLogProbs, "it has no log probabilities")
	case s.Format.Kind == dialect.FormatJSON:
		return w.r.Refuse(dialect.CFormat, "it has no JSON mode without a schema; send a json_schema")
	case s.Format.Kind == dialect.FormatSchema && p.NoSchema:
		return w.r.Refuse(dialect.CFormat, "the model has no structured output")
	}
	w.drop(dialect.CPresencePenalty, s.PresencePenalty)
	w.drop(dialect.CFrequencyPenalty, s.FrequencyPenalty)
	w.drop(dialect.CLogitBias, s.LogitBias)
	w.drop(dialect.CSeed, s.Seed)
	w.drop(dialect.CVerbosity, s.Verbosity)
	w.drop(dialect.CUser, s.User)
	w.drop(dialect.CMetadata, s.Metadata)
	w.drop(dialect.CCacheKey, s.CacheKey)
	if s.Store != nil && *s.Store {
		w.r.Loss.Drop(dialect.CStore)
	}
	if s.Cache != nil {
		w.r.Loss.Drop(dialect.CCache)
	}
	w.inference()
	switch tier := jsonscan.Text(s.ServiceTier); tier {
	case "", "auto":
	case "default", "flex", "priority":
		w.member("serviceTier", dialect.JSON(`{"type":"`+tier+`"}`))
	default:
		w.r.Loss.Drop(dialect.CServiceTier)
	}
	if p.TopK && s.TopK != nil && !p.NoSampling {
		w.member("additionalModelRequestFields", dialect.JSON(`{"top_k":`+string(s.TopK)+`}`))
	} else {
		w.drop(dialect.CTopK, s.TopK)
	}
	w.output()
	return nil
}

func (w *requestWriter) inference() {
	s := &w.r.Settings
	n := len(w.out)
	w.begin("inferenceConfig")
	w.out = append(w.out, '{')
	open := len(w.out)
	w.member("maxTokens", s.MaxOutput)
	if w.target.Profile.NoSampling {
		w.drop(dialect.CTemperature, s.Temperature)
		w.drop(dialect.CTopP, s.TopP)
	} else {
		w.member("temperature", s.Temperature)
		w.member("topP", s.TopP)
	}
	if len(s.Stop) > 0 {
		w.begin("stopSequences")
		w.out = append(w.out, '[')
		for i, stop := range s.Stop {
			w.out = comma(w.out, i)
			w.out = append(w.out, stop...)
		}
		w.out = append(w.out, ']')
	}
	if len(w.out) == open {
		w.out = w.out[:n]
		return
	}
	w.out = append(w.out, '}')
}

// output writes the effort, for models that take a word for it, and the form of the
// response.
func (w *requestWriter) output() {
	s, f := &w.r.Settings, &w.r.Settings.Format
	effort := s.Effort
	if w.target.Profile.Reasoning != "effort" || effort == dialect.EffortNone {
		if effort != "" && effort != dialect.EffortNone || s.Thinking == dialect.ThinkingOn || s.Thinking == dialect.ThinkingAdaptive {
			w.r.Loss.Drop(dialect.CEffort)
		}
		effort = ""
	}
	if effort == dialect.EffortMinimal {
		effort = dialect.EffortLow
		w.r.Loss.Approximate(dialect.CEffort)
	}
	if effort == "" && f.Kind == 0 {
		return
	}
	w.begin("outputConfig")
	w.out = append(w.out, '{')
	if effort != "" {
		w.begin("effort")
		w.out = jsonscan.AppendString(w.out, string(effort))
	}
	if f.Kind == dialect.FormatSchema {
		w.begin("textFormat")
		w.out = append(w.out, `{"type":"json_schema","structure":{"jsonSchema":{"schema":"`...)
		w.out = jsonscan.AppendEscaped(w.out, f.Schema)
		w.out = append(w.out, '"')
		w.member("name", f.Name)
		w.member("description", f.Description)
		w.out = append(w.out, `}}}`...)
	}
	w.out = append(w.out, '}')
}

// comma appends the comma before every element but the first.
func comma(out []byte, i int) []byte {
	if i > 0 {
		out = append(out, ',')
	}
	return out
}

// called returns the names of the tools that the conversation calls, in their order.
func (w *requestWriter) called() []string {
	var names []string
	seen := make(map[string]bool)
	for i := range w.r.Turns {
		for j := range w.r.Turns[i].Parts {
			if call := w.r.Turns[i].Parts[j].Call; call != nil && !seen[call.Name] {
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
	if w.r.Choice.Mode == dialect.ChoiceNone {
		if len(called) == 0 {
			return nil
		}
		w.r.Loss.Approximate(dialect.CChoice)
	}
	if len(w.r.Tools) == 0 && len(called) == 0 {
		return nil
	}
	w.begin("toolConfig")
	w.out = append(w.out, `{"tools":[`...)
	if len(w.r.Tools) == 0 {
		w.r.Loss.Approximate(dialect.CTool)
		for i, name := range called {
			w.out = comma(w.out, i)
			w.out = append(w.out, `{"toolSpec":{"name":`...)
			w.out = jsonscan.AppendString(w.out, name)
			w.out = append(w.out, `,"inputSchema":{"json":{"type":"object"}}}}`...)
		}
	}
	for i := range w.r.Tools {
		w.out = comma(w.out, i)
		if err := w.tool(&w.r.Tools[i]); err != nil {
			return err
		}
	}
	w.out = append(w.out, ']')
	if w.r.Parallel != nil && !*w.r.Parallel {
		w.r.Loss.Drop(dialect.CParallel)
	}
	if err := w.choice(); err != nil {
		return err
	}
	w.out = append(w.out, '}')
	return nil
}

func (w *requestWriter) tool(t *dialect.Tool) *llmprovider.Error {
	switch {
	case t.Kind == dialect.Hosted:
		return w.r.Refuse(dialect.CHostedTool, "it does not run tools of another vendor")
	case t.Grammar != nil:
		return w.r.Refuse(dialect.CGrammar, "its tools take JSON and no other grammar")
	}
	w.out = append(w.out, `{"toolSpec":{"name":`...)
	w.out = jsonscan.AppendString(w.out, t.Name)
	if len(t.Description) > 2 { // an empty one is refused
		w.member("description", t.Description)
	}
	w.out = append(w.out, `,"inputSchema":{"json":`...)
	switch {
	case t.Kind == dialect.Custom:
		w.r.Loss.Approximate(dialect.CCustomTool)
		w.out = append(w.out, `{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}`...)
	case t.Schema != nil:
		w.out = append(w.out, t.Schema...)
	default:
		w.out = append(w.out, `{"type":"object"}`...)
	}
	w.out = append(w.out, '}')
	if t.Strict != nil && *t.Strict {
		if w.target.Profile.NoStrictTools {
			w.r.Loss.Drop(dialect.CStrict)
		} else {
			w.out = append(w.out, `,"strict":true`...)
		}
	}
	w.out = append(w.out, `}}`...)
	w.cache(t.Cache)
	return nil
}

func (w *requestWriter) choice() *llmprovider.Error {
	c := &w.r.Choice
	switch c.Mode {
	case dialect.ChoiceAuto:
		w.out = append(w.out, `,"toolChoice":{"auto":{}}`...)
	case dialect.ChoiceAny:
		w.out = append(w.out, `,"toolChoice":{"any":{}}`...)
	case dialect.ChoiceNamed:
		for i := range w.r.Tools {
			if w.r.Tools[i].Name == c.Names[0] {
				w.out = append(w.out, `,"toolChoice":{"tool":{"name":`...)
				w.out = append(jsonscan.AppendString(w.out, c.Names[0]), `}}`...)
				return nil
			}
		}
		return dialect.Invalid(w.r.API.Paths[dialect.CChoice], "the name of one of the tools")
	case dialect.ChoiceSubset:
		return w.r.Refuse(dialect.CChoiceSubset, "it cannot be told to use some of the tools; send those alone")
	}
	return nil
}

// cache writes a cache marker as a block after the one that it marks.
func (w *requestWriter) cache(c *dialect.Cache) {
	switch {
	case c == nil:
	case !w.target.Profile.CacheControl:
		w.r.Loss.Drop(dialect.CCache)
	case c.TTL > 300:
		if c.TTL != 3600 {
			w.r.Loss.Approximate(dialect.CCache)
		}
		w.out = append(w.out, `,{"cachePoint":{"type":"default","ttl":"1h"}}`...)
	default:
		w.out = append(w.out, `,{"cachePoint":{"type":"default"}}`...)
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
