package messages

import (
	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// onlyHere completes the refusal of what the Messages API alone has.
const onlyHere = "only providers with the Messages API have it; leave it out, or route this model to one of them"

// readRequest implements dialect.API.
func readRequest(r *dialect.Request, body []byte, call dialect.Call) *llmprovider.Error {
	r.Model, r.Stream, r.Count, r.StreamUsage = call.Model, call.Stream, call.Count, true
	var system, conversation dialect.JSON
	for name, value := range jsonscan.Members(body) {
		switch {
		case jsonscan.IsNull(value):
		case jsonscan.NameIs(name, "system"):
			system = value
		case jsonscan.NameIs(name, "messages"):
			conversation = value
		default:
			if err := readMember(r, jsonscan.Text(name), value); err != nil {
				return err
			}
		}
	}
	c := reader{r: r}
	if system != nil {
		parts, err := c.readContent(system, "system")
		if err != nil {
			return err
		}
		r.Turns = append(r.Turns, dialect.Turn{Role: dialect.System, Parts: parts})
	}
	return c.readMessages(conversation)
}

// readMember reads one of the request's own members but for the conversation.
func readMember(r *dialect.Request, name string, value dialect.JSON) *llmprovider.Error {
	s := &r.Settings
	switch name {
	case "model":
		r.Model = jsonscan.Text(value)
	case "stream":
		r.Stream = dialect.IsTrue(value)
	case "max_tokens":
		s.MaxOutput = value
	case "temperature":
		s.Temperature = value
	case "top_p":
		s.TopP = value
	case "top_k":
		s.TopK = value
	case "stop_sequences":
		for stop := range jsonscan.Elements(value) {
			if !jsonscan.IsString(stop) {
				return dialect.Invalid("stop_sequences", "an array of strings")
			}
			s.Stop = append(s.Stop, stop)
		}
	case "metadata":
		s.User = dialect.StringOf(value, "user_id")
	case "service_tier":
		switch string(jsonscan.Plain(value)) {
		case "auto":
			s.ServiceTier = dialect.JSON(`"auto"`)
		case "standard_only":
			s.ServiceTier = dialect.JSON(`"default"`)
			r.Loss.Approximate(dialect.CServiceTier)
		}
	case "thinking":
		return readThinking(r, value)
	case "output_config":
		s.Effort = dialect.Effort(jsonscan.Text(jsonscan.Get(value, "effort")))
		if format := jsonscan.Get(value, "format"); format != nil && !jsonscan.IsNull(format) {
			return readFormat(s, format)
		}
	case "output_format": // the beta's form
		return readFormat(s, value)
	case "tools":
		return readTools(r, value)
	case "tool_choice":
		return readChoice(r, value)
	case "cache_control":
		s.Cache = dialect.ReadCache(value)
	case "container", "mcp_servers", "compaction", "fallbacks":
		return r.Refuse(dialect.CContainer, onlyHere)
	case "context_management", "diagnostics", "inference_geo", "speed":
		r.Loss.Drop(dialect.CContextManagement)
	default:
		r.Loss.Drop(dialect.Other)
	}
	return nil
}

func readThinking(r *dialect.Request, value dialect.JSON) *llmprovider.Error {
	s := &r.Settings
	switch string(jsonscan.Plain(jsonscan.Get(value, "type"))) {
	case "enabled":
		s.Thinking, s.Budget = dialect.ThinkingOn, jsonscan.Get(value, "budget_tokens")
	case "adaptive":
		s.Thinking = dialect.ThinkingAdaptive
	case "between_tools":
		s.Thinking = dialect.ThinkingAdaptive
		r.Loss.Approximate(dialect.CThinking)
	case "disabled":
		s.Thinking = dialect.ThinkingOff
	default:
		return dialect.Invalid("thinking.type", "enabled, adaptive, between_tools or disabled")
	}
	switch display := jsonscan.Get(value, "display"); string(jsonscan.Plain(display)) {
	case "", "null":
	case "summarized":
		s.Summary = true
	default: // omitted: clients are shown what there is
		r.Loss.Approximate(dialect.CSummary)
	}
	return nil
}

func readFormat(s *dialect.Settings, value dialect.JSON) *llmprovider.Error {
	if string(jsonscan.Plain(jsonscan.Get(value, "type"))) != "json_schema" {
		return dialect.Invalid("output_config.format.type", "json_schema")
	}
	if s.Format.Schema = jsonscan.Get(value, "schema"); s.Format.Schema == nil {
		return dialect.Invalid("output_config.format.schema", "a JSON Schema")
	}
	s.Format.Kind = dialect.FormatSchema
	return nil
}

func readTools(r *dialect.Request, value dialect.JSON) *llmprovider.Error {
	for raw := range jsonscan.Elements(value) {
		t := dialect.Tool{Kind: dialect.Function}
		for name, v := range jsonscan.Members(raw) {
			if jsonscan.IsNull(v) {
				continue
			}
			switch string(jsonscan.Plain(name)) {
			case "type":
				if string(jsonscan.Plain(v)) != "custom" {
					t.Kind = dialect.Hosted
				}
			case "name":
				t.Name = jsonscan.Text(v)
			case "description":
				t.Description = v
			case "input_schema":
				t.Schema = v
			case "strict":
				t.Strict = dialect.Flag(v)
			case "cache_control":
				t.Cache = dialect.ReadCache(v)
			default: // eager_input_streaming, defer_loading, allowed_callers, input_examples…
				r.Loss.Drop(dialect.CToolOption)
			}
		}
		if t.Name == "" {
			return dialect.Invalid("tools[].name", "a name")
		}
		r.Tools = append(r.Tools, t)
	}
	return nil
}

func readChoice(r *dialect.Request, value dialect.JSON) *llmprovider.Error {
	switch string(jsonscan.Plain(jsonscan.Get(value, "type"))) {
	case "auto":
		r.Choice.Mode = dialect.ChoiceAuto
	case "any":
		r.Choice.Mode = dialect.ChoiceAny
	case "none":
		r.Choice.Mode = dialect.ChoiceNone
	case "tool":
		name := jsonscan.Text(jsonscan.Get(value, "name"))
		if name == "" {
			return dialect.Invalid("tool_choice.name", "the name of a tool")
		}
		r.Choice = dialect.Choice{Mode: dialect.ChoiceNamed, Names: []string{name}}
	default:
		return dialect.Invalid("tool_choice.type", "auto, any, tool or none")
	}
	if off := jsonscan.Get(value, "disable_parallel_tool_use"); off != nil {
		parallel := !dialect.IsTrue(off)
		r.Parallel = &parallel
	}
	return nil
}
