package responses

import (
	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// onlyHere completes the refusal of what the Responses API alone has.
const onlyHere = "only providers with the Responses API have it; leave it out, or route this model to one of them"

// stateless completes the refusal of what needs state at the provider.
const stateless = "it names state that a provider keeps, and this model's provider keeps none; send the whole conversation as input"

// readRequest implements dialect.API.
func readRequest(r *dialect.Request, body []byte, call dialect.Call) *llmprovider.Error {
	r.Model, r.Stream, r.Count, r.StreamUsage = call.Model, call.Stream, call.Count, true
	var input, instructions dialect.JSON
	for name, value := range jsonscan.Members(body) {
		switch {
		case jsonscan.IsNull(value):
		case jsonscan.NameIs(name, "input"):
			input = value
		case jsonscan.NameIs(name, "instructions"):
			instructions = value
		default:
			if err := readMember(r, jsonscan.Text(name), value); err != nil {
				return err
			}
		}
	}
	if instructions != nil {
		if !jsonscan.IsString(instructions) {
			return dialect.Invalid("instructions", "a string")
		}
		r.Turns = append(r.Turns, dialect.Turn{Role: dialect.System, Parts: []dialect.Part{{Kind: dialect.Text, Text: instructions}}})
	}
	return readInput(r, input)
}

// readMember reads one of the request's own members but for the conversation.
func readMember(r *dialect.Request, name string, value dialect.JSON) *llmprovider.Error {
	s := &r.Settings
	switch name {
	case "model":
		r.Model = jsonscan.Text(value)
	case "stream":
		r.Stream = dialect.IsTrue(value)
	case "stream_options": // what pads events against guessing
	case "max_output_tokens":
		s.MaxOutput = value
	case "temperature":
		s.Temperature = value
	case "top_p":
		s.TopP = value
	case "top_logprobs":
		s.TopLogProbs = value
	case "include":
		for item := range jsonscan.Elements(value) {
			if string(jsonscan.Plain(item)) == "message.output_text.logprobs" {
				s.LogProbs = dialect.JSON("true")
			}
		}
	case "reasoning":
		s.Effort = dialect.Effort(jsonscan.Text(jsonscan.Get(value, "effort")))
		summary := jsonscan.Get(value, "summary")
		s.Summary = jsonscan.IsString(summary) && string(jsonscan.Plain(summary)) != "none"
	case "text":
		s.Verbosity = dialect.StringOf(value, "verbosity")
		return readFormat(s, jsonscan.Get(value, "format"))
	case "tools":
		return readTools(r, value)
	case "tool_choice":
		return readChoice(r, value)
	case "parallel_tool_calls":
		r.Parallel = dialect.Flag(value)
	case "safety_identifier":
		s.User = value
	case "user":
		if s.User == nil {
			s.User = value
		}
	case "metadata":
		if len(value) > 2 {
			s.Metadata = value
		}
	case "service_tier":
		s.ServiceTier = value
	case "store":
		s.Store = dialect.Flag(value)
	case "prompt_cache_key":
		s.CacheKey = value
	case "prompt_cache_options", "prompt_cache_retention":
		r.Loss.Approximate(dialect.CCache)
	case "previous_response_id", "conversation", "prompt":
		return r.RefuseField(name, stateless)
	case "background":
		if dialect.IsTrue(value) {
			return r.RefuseField(name, "the response would be stored at the provider, and this model's provider keeps none; send the request without it, with \"stream\": true for a long one")
		}
	case "truncation":
		if string(jsonscan.Plain(value)) == "auto" {
			return r.Refuse(dialect.CTruncation, onlyHere)
		}
	case "moderation":
		return r.Refuse(dialect.CModeration, onlyHere)
	case "max_tool_calls":
		r.Loss.Drop(dialect.CToolOption)
	case "context_management":
		r.Loss.Drop(dialect.CContextManagement)
	default:
		r.Loss.Drop(dialect.Other)
	}
	return nil
}

func readFormat(s *dialect.Settings, value dialect.JSON) *llmprovider.Error {
	switch string(jsonscan.Plain(jsonscan.Get(value, "type"))) {
	case "", "text":
	case "json_object":
		s.Format.Kind = dialect.FormatJSON
	case "json_schema":
		f := &s.Format
		f.Kind, f.Name, f.Description = dialect.FormatSchema, dialect.StringOf(value, "name"), dialect.StringOf(value, "description")
		if strict := jsonscan.Get(value, "strict"); strict != nil && !jsonscan.IsNull(strict) {
			f.Strict = dialect.Flag(strict)
		}
		if f.Schema = jsonscan.Get(value, "schema"); f.Schema == nil {
			return dialect.Invalid("text.format.schema", "a JSON Schema")
		}
	default:
		return dialect.Invalid("text.format.type", "text, json_object or json_schema")
	}
	return nil
}

func readTools(r *dialect.Request, value dialect.JSON) *llmprovider.Error {
	return readToolsIn(r, value, "")
}

// namespaced is what a model knows a tool of a namespace by.
func namespaced(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "__" + name
}

// readToolsIn reads tools of a namespace, which is empty for those that are in none.
func readToolsIn(r *dialect.Request, value dialect.JSON, namespace string) *llmprovider.Error {
	for raw := range jsonscan.Elements(value) {
		var t dialect.Tool
		t.Type = jsonscan.Text(jsonscan.Get(raw, "type"))
		switch t.Type {
		case "function":
			t.Kind = dialect.Function
		case "custom":
			t.Kind = dialect.Custom
		case "namespace": // tools that the client runs, under one name
			name := jsonscan.Text(jsonscan.Get(raw, "name"))
			if name == "" || namespace != "" {
				return dialect.Invalid("tools[].name", "the name of a namespace, which is in no other")
			}
			if err := readToolsIn(r, jsonscan.Get(raw, "tools"), name); err != nil {
				return err
			}
			continue
		default:
			t.Kind = dialect.Hosted
		}
		for name, v := range jsonscan.Members(raw) {
			switch {
			case jsonscan.IsNull(v):
			case jsonscan.NameIs(name, "name"):
				t.Name = jsonscan.Text(v)
			case jsonscan.NameIs(name, "description"):
				t.Description = v
			case jsonscan.NameIs(name, "parameters"):
				t.Schema = v
			case jsonscan.NameIs(name, "strict"):
				t.Strict = dialect.Flag(v)
			case jsonscan.NameIs(name, "format"):
				if string(jsonscan.Plain(jsonscan.Get(v, "type"))) != "text" {
					t.Grammar = dialect.ReadGrammar(v)
				}
			}
		}
		if t.Name == "" && t.Kind != dialect.Hosted {
			return dialect.Invalid("tools[].name", "a name")
		}
		if namespace != "" {
			t.Namespace, t.Local, t.Name = namespace, t.Name, namespaced(namespace, t.Name)
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
	switch string(jsonscan.Plain(jsonscan.Get(value, "type"))) {
	case "function", "custom":
		name := jsonscan.Text(jsonscan.Get(value, "name"))
		if name == "" {
			return dialect.Invalid("tool_choice.name", "the name of a tool")
		}
		r.Choice = dialect.Choice{Mode: dialect.ChoiceNamed, Names: []string{namespaced(jsonscan.Text(jsonscan.Get(value, "namespace")), name)}}
	case "allowed_tools":
		r.Choice = dialect.Choice{Mode: dialect.ChoiceSubset, Must: string(jsonscan.Plain(jsonscan.Get(value, "mode"))) == "required"}
		for tool := range jsonscan.Elements(jsonscan.Get(value, "tools")) {
			name := jsonscan.Text(jsonscan.Get(tool, "name"))
			if name == "" {
				return r.Refuse(dialect.CHostedTool, onlyHere)
			}
			r.Choice.Names = append(r.Choice.Names, namespaced(jsonscan.Text(jsonscan.Get(tool, "namespace")), name))
		}
	default:
		return r.Refuse(dialect.CHostedTool, onlyHere)
	}
	return nil
}
