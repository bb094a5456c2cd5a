package chat

import (
	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// onlyHere completes the refusal of what chat completions alone have.
const onlyHere = "only providers with the Chat Completions API have it; leave it out, or route this model to one of them"

// readRequest implements dialect.API.
func readRequest(r *dialect.Request, body []byte, call dialect.Call) *llmprovider.Error {
	r.Model, r.Stream = call.Model, call.Stream
	var messages, functionCall dialect.JSON
	for name, value := range jsonscan.Members(body) {
		if jsonscan.IsNull(value) {
			continue
		}
		if jsonscan.NameIs(name, "messages") {
			messages = value
			continue
		}
		if jsonscan.NameIs(name, "function_call") {
			functionCall = value
			continue
		}
		if err := readMember(r, jsonscan.Text(name), value); err != nil {
			return err
		}
	}
	if functionCall != nil && r.Choice.Mode == 0 {
		if err := readLegacyChoice(r, functionCall); err != nil {
			return err
		}
	}
	return readMessages(r, messages)
}

// readMember reads one of the request's own members but for the messages.
func readMember(r *dialect.Request, name string, value dialect.JSON) *llmprovider.Error {
	s := &r.Settings
	switch name {
	case "model":
		r.Model = jsonscan.Text(value)
	case "stream":
		r.Stream = dialect.IsTrue(value)
	case "stream_options":
		r.StreamUsage = dialect.IsTrue(jsonscan.Get(value, "include_usage"))
	case "max_completion_tokens":
		s.MaxOutput = value
	case "max_tokens":
		if s.MaxOutput == nil {
			s.MaxOutput = value
		}
	case "temperature":
		s.Temperature = value
	case "top_p":
		s.TopP = value
	case "top_k":
		s.TopK = value
	case "presence_penalty":
		s.PresencePenalty = value
	case "frequency_penalty":
		s.FrequencyPenalty = value
	case "logit_bias":
		s.LogitBias = value
	case "seed":
		s.Seed = value
	case "n":
		s.Candidates = value
	case "logprobs":
		s.LogProbs = value
	case "top_logprobs":
		s.TopLogProbs = value
	case "stop":
		return readStop(s, value)
	case "verbosity":
		s.Verbosity = value
	case "safety_identifier":
		s.User = value
	case "user":
		if s.User == nil {
			s.User = value
		}
	case "metadata":
		s.Metadata = value
	case "service_tier":
		s.ServiceTier = value
	case "store":
		s.Store = dialect.Flag(value)
	case "prompt_cache_key":
		s.CacheKey = value
	case "prompt_cache_options", "prompt_cache_retention":
		r.Loss.Approximate(dialect.CCache)
	case "reasoning_effort":
		s.Effort = dialect.Effort(jsonscan.Text(value))
	case "response_format":
		return readFormat(s, value)
	case "tools":
		return readTools(r, value)
	case "functions":
		r.Legacy = true
		return readFunctions(r, value)
	case "tool_choice":
		return readChoice(r, value)
	case "parallel_tool_calls":
		r.Parallel = dialect.Flag(value)
	case "modalities":
		for m := range jsonscan.Elements(value) {
			if string(jsonscan.Plain(m)) != "text" {
				return r.Refuse(dialect.CModalities, onlyHere)
			}
		}
	case "audio":
		return r.Refuse(dialect.CModalities, onlyHere)
	case "web_search_options":
		return r.Refuse(dialect.CHostedTool, onlyHere)
	case "moderation":
		return r.Refuse(dialect.CModeration, onlyHere)
	case "prediction":
		r.Loss.Drop(dialect.CPrediction)
	default:
		r.Loss.Drop(dialect.Other)
	}
	return nil
}

func readStop(s *dialect.Settings, value dialect.JSON) *llmprovider.Error {
	if jsonscan.IsString(value) {
		s.Stop = []dialect.JSON{value}
		return nil
	}
	for stop := range jsonscan.Elements(value) {
		if !jsonscan.IsString(stop) {
			return dialect.Invalid("stop", "a string or an array of strings")
		}
		s.Stop = append(s.Stop, stop)
	}
	return nil
}

func readFormat(s *dialect.Settings, value dialect.JSON) *llmprovider.Error {
	switch string(jsonscan.Plain(jsonscan.Get(value, "type"))) {
	case "text":
	case "json_object":
		s.Format.Kind = dialect.FormatJSON
	case "json_schema":
		s.Format.Kind = dialect.FormatSchema
		for name, v := range jsonscan.Members(jsonscan.Get(value, "json_schema")) {
			switch {
			case jsonscan.IsNull(v):
			case jsonscan.NameIs(name, "schema"):
				s.Format.Schema = v
			case jsonscan.NameIs(name, "name"):
				s.Format.Name = v
			case jsonscan.NameIs(name, "description"):
				s.Format.Description = v
			case jsonscan.NameIs(name, "strict"):
				s.Format.Strict = dialect.Flag(v)
			}
		}
		if s.Format.Schema == nil {
			return dialect.Invalid("response_format.json_schema.schema", "a JSON Schema")
		}
	default:
		return dialect.Invalid("response_format.type", "text, json_object or json_schema")
	}
	return nil
}

func readTools(r *dialect.Request, value dialect.JSON) *llmprovider.Error {
	for tool := range jsonscan.Elements(value) {
		var t dialect.Tool
		var definition dialect.JSON
		for name, v := range jsonscan.Members(tool) {
			switch {
			case jsonscan.NameIs(name, "type"):
				t.Type = jsonscan.Text(v)
			case jsonscan.NameIs(name, "function"), jsonscan.NameIs(name, "custom"):
				definition = v
			case jsonscan.NameIs(name, "cache_control"):
				t.Cache = dialect.ReadCache(v)
			}
		}
		switch t.Type {
		case "function":
			t.Kind = dialect.Function
		case "custom":
			t.Kind = dialect.Custom
		default:
			return r.Refuse(dialect.CTool, "the type of one of the tools is not known here; use function or custom")
		}
		t.Type = ""
		readFunction(&t, definition)
		if t.Name == "" {
			return dialect.Invalid("tools[].function.name", "a name")
		}
		r.Tools = append(r.Tools, t)
	}
	return nil
}

// readFunction reads what describes a tool.
func readFunction(t *dialect.Tool, definition dialect.JSON) {
	for name, v := range jsonscan.Members(definition) {
		switch {
		case jsonscan.IsNull(v):
		case jsonscan.NameIs(name, "name"):
			t.Name = jsonscan.Text(v)
		case jsonscan.NameIs(name, "description"):
			t.Description = v
		case jsonscan.NameIs(name, "parameters"):
			t.Schema = v
		case jsonscan.NameIs(name, "format"):
			if kind := jsonscan.Text(jsonscan.Get(v, "type")); kind != "text" {
				t.Grammar = dialect.ReadGrammar(jsonscan.Get(v, "grammar"))
			}
		case jsonscan.NameIs(name, "strict"):
			t.Strict = dialect.Flag(v)
		}
	}
}

// readFunctions reads the tools of the API's first form.
func readFunctions(r *dialect.Request, value dialect.JSON) *llmprovider.Error {
	for definition := range jsonscan.Elements(value) {
		t := dialect.Tool{Kind: dialect.Function}
		readFunction(&t, definition)
		if t.Name == "" {
			return dialect.Invalid("functions[].name", "a name")
		}
		r.Tools = append(r.Tools, t)
	}
	return nil
}

func readChoice(r *dialect.Request, value dialect.JSON) *llmprovider.Error {
	if jsonscan.IsString(value) {
		if r.Choice.Mode = dialect.ChoiceWord(value); r.Choice.Mode == 0 {
			return dialect.Invalid("tool_choice", "auto, required, none or an object")
		}
		return nil
	}
	switch kind := jsonscan.Text(jsonscan.Get(value, "type")); kind {
	case "function", "custom":
		name := jsonscan.Text(jsonscan.Get(jsonscan.Get(value, kind), "name"))
		if name == "" {
			return dialect.Invalid("tool_choice."+kind+".name", "the name of a tool")
		}
		r.Choice = dialect.Choice{Mode: dialect.ChoiceNamed, Names: []string{name}}
	case "allowed_tools":
		allowed := jsonscan.Get(value, "allowed_tools")
		r.Choice = dialect.Choice{Mode: dialect.ChoiceSubset, Must: string(jsonscan.Plain(jsonscan.Get(allowed, "mode"))) == "required"}
		for tool := range jsonscan.Elements(jsonscan.Get(allowed, "tools")) {
			name := jsonscan.Text(jsonscan.Get(jsonscan.Get(tool, jsonscan.Text(jsonscan.Get(tool, "type"))), "name"))
			if name == "" {
				return dialect.Invalid("tool_choice.allowed_tools.tools[]", "a function or custom tool with its name")
			}
			r.Choice.Names = append(r.Choice.Names, name)
		}
	default:
		return dialect.Invalid("tool_choice.type", "function, custom or allowed_tools")
	}
	return nil
}

func readLegacyChoice(r *dialect.Request, value dialect.JSON) *llmprovider.Error {
	if name := jsonscan.Text(jsonscan.Get(value, "name")); name != "" {
		r.Choice = dialect.Choice{Mode: dialect.ChoiceNamed, Names: []string{name}}
		return nil
	}
	return readChoice(r, value)
}
