package responses

import (
	"strconv"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// minOutput is the smallest output cap that the API takes.
const minOutput = 16

// requestWriter writes one request.
type requestWriter struct {
	dialect.RequestWriter
}

// writeRequest implements dialect.API. Nothing is to be stored at the provider, so
// reasoning comes encrypted.
func writeRequest(r *dialect.Request, target dialect.Target) ([]byte, *llmprovider.Error) {
	if err := target.NeedModel(); err != nil {
		return nil, err
	}
	w := &requestWriter{RequestWriter: dialect.NewRequestWriter(r, target)}
	w.String(`"model":`, target.Model)
	if !r.Count {
		if target.Stream {
			w.Out = append(w.Out, `,"stream":true`...)
		}
		w.Out = append(w.Out, `,"store":false`...)
		w.include()
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
	return w.Finish(), nil
}

// include names what a response has besides. A model that does not reason rejects a
// request for its reasoning.
func (w *requestWriter) include() {
	reasons, logProbs := w.Target.Profile.Reasoning != "none", dialect.IsTrue(w.R.Settings.LogProbs)
	switch {
	case reasons && logProbs:
		w.Out = append(w.Out, `,"include":["reasoning.encrypted_content","message.output_text.logprobs"]`...)
	case reasons:
		w.Out = append(w.Out, `,"include":["reasoning.encrypted_content"]`...)
	case logProbs:
		w.Out = append(w.Out, `,"include":["message.output_text.logprobs"]`...)
	}
}

func (w *requestWriter) settings() *llmprovider.Error {
	s := &w.R.Settings
	if len(s.Stop) > 0 {
		return w.R.Refuse(dialect.CStop, "it has no stop sequences")
	}
	if err := w.OneChoice(); err != nil {
		return err
	}
	if n, err := strconv.Atoi(string(s.MaxOutput)); err == nil && n < minOutput {
		w.Out = append(w.Out, `,"max_output_tokens":16`...)
		w.R.Loss.Approximate(dialect.CMaxOutput)
	} else {
		w.Member("max_output_tokens", s.MaxOutput)
	}
	w.Sampling("temperature", "top_p")
	if dialect.IsTrue(s.LogProbs) {
		w.Member("top_logprobs", s.TopLogProbs)
	}
	w.Drop(dialect.CTopK, s.TopK)
	w.Drop(dialect.CPresencePenalty, s.PresencePenalty)
	w.Drop(dialect.CFrequencyPenalty, s.FrequencyPenalty)
	w.Drop(dialect.CLogitBias, s.LogitBias)
	w.Drop(dialect.CSeed, s.Seed)
	w.DropStore()
	w.DropCache(s.Cache)
	w.User("safety_identifier", 128)
	w.Member("metadata", s.Metadata)
	w.Member("service_tier", s.ServiceTier)
	w.Member("prompt_cache_key", s.CacheKey)
	w.reasoning()
	return w.text()
}

// reasoning writes how much the model is to reason. Clients of other APIs are shown
// its summary.
func (w *requestWriter) reasoning() {
	if w.NoReasoning() {
		return
	}
	effort, _ := w.ProfileEffort(w.Effort())
	asked := w.Shows()
	if effort == "" && !asked {
		return
	}
	w.Out = append(w.Out, `,"reasoning":{`...)
	if effort != "" {
		w.String(`"effort":`, string(effort))
	}
	if asked {
		if effort != "" {
			w.Out = append(w.Out, ',')
		}
		w.Out = append(w.Out, `"summary":"auto"`...)
	}
	w.Out = append(w.Out, '}')
}

func (w *requestWriter) text() *llmprovider.Error {
	s := &w.R.Settings
	f := &s.Format
	if f.Kind == 0 && s.Verbosity == nil {
		return nil
	}
	w.Out = append(w.Out, `,"text":{`...)
	switch f.Kind {
	case dialect.FormatJSON:
		w.Out = append(w.Out, `"format":{"type":"json_object"}`...)
	case dialect.FormatSchema:
		w.Out = append(w.Out, `"format":{"type":"json_schema","name":`...)
		if f.Name != nil {
			w.Out = append(w.Out, f.Name...)
		} else {
			w.Out = append(w.Out, `"response"`...)
		}
		w.Member("description", f.Description)
		w.Flag("strict", f.Strict)
		w.Member("schema", f.Schema)
		w.Out = append(w.Out, '}')
	}
	if s.Verbosity != nil {
		if f.Kind != 0 {
			w.Out = append(w.Out, ',')
		}
		w.Write(`"verbosity":`, s.Verbosity, "")
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
		t := &w.R.Tools[i]
		if t.Kind == dialect.Hosted {
			return w.NoHosted()
		}
		w.Comma(i)
		if t.Kind == dialect.Custom {
			w.String(`{"type":"custom","name":`, t.Name)
			w.Member("description", t.Description)
			if t.Grammar != nil {
				w.Out = append(w.Out, `,"format":{"type":"grammar"`...)
				w.Grammar(t.Grammar)
				w.Out = append(w.Out, '}')
			}
			w.Out = append(w.Out, '}')
			continue
		}
		w.String(`{"type":"function","name":`, t.Name)
		w.Member("description", t.Description)
		if t.Schema != nil {
			w.Member("parameters", t.Schema)
		} else {
			w.Out = append(w.Out, `,"parameters":{"type":"object","properties":{}}`...)
		}
		w.Out = append(w.Out, `,"strict":`...)
		w.Out = strconv.AppendBool(w.Out, t.Strict != nil && *t.Strict)
		w.Out = append(w.Out, '}')
		w.DropCache(t.Cache)
	}
	w.Out = append(w.Out, ']')
	w.Flag("parallel_tool_calls", w.R.Parallel)
	return w.choice()
}

func (w *requestWriter) choice() *llmprovider.Error {
	c := &w.R.Choice
	switch c.Mode {
	case dialect.ChoiceAuto:
		w.Out = append(w.Out, `,"tool_choice":"auto"`...)
	case dialect.ChoiceAny:
		w.Out = append(w.Out, `,"tool_choice":"required"`...)
	case dialect.ChoiceNone:
		w.Out = append(w.Out, `,"tool_choice":"none"`...)
	case dialect.ChoiceNamed:
		w.Out = append(w.Out, `,"tool_choice":`...)
		return w.toolName(c.Names[0])
	case dialect.ChoiceSubset:
		mode := "auto"
		if c.Must {
			mode = "required"
		}
		w.Out = append(w.Out, `,"tool_choice":{"type":"allowed_tools","mode":"`+mode+`","tools":[`...)
		for i, name := range c.Names {
			w.Comma(i)
			if err := w.toolName(name); err != nil {
				return err
			}
		}
		w.Out = append(w.Out, `]}`...)
	}
	return nil
}

// toolName appends an object that names a tool.
func (w *requestWriter) toolName(name string) *llmprovider.Error {
	t, err := w.Tool(name)
	if err != nil {
		return err
	}
	kind := "function"
	if t.Kind == dialect.Custom {
		kind = "custom"
	}
	w.Out = append(w.Out, `{"type":"`+kind+`","name":`...)
	w.Out = append(jsonscan.AppendString(w.Out, name), '}')
	return nil
}
