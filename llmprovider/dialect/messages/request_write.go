package messages

import (
	"strconv"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

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
	w.sampling(budget > 0 || w.adaptive())
	w.stop()
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
	return dialect.DefaultMaxOutput
}

// stop writes the stop sequences. The API refuses those with nothing but space.
func (w *requestWriter) stop() {
	var stop []dialect.JSON
	for _, text := range w.R.Settings.Stop {
		if dialect.IsBlank(text) {
			w.R.Loss.Drop(dialect.CStop)
			continue
		}
		stop = append(stop, text)
	}
	w.Values("stop_sequences", stop)
}

// sampling writes what steers the choice of words. Models that reject it, and those
// that reason, get none; temperature and top_p exclude each other.
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
	case t.Schema != nil && t.Strict != nil && *t.Strict && !w.Target.Profile.NoStrictTools:
		schema, err := w.kept(t.Schema, dialect.CToolSchema)
		if err != nil {
			return err
		}
		w.Member("input_schema", schema)
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
