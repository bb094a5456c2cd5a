package gemini

import (
	"bytes"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// onlyHere completes the refusal of what Google's API alone has.
const onlyHere = "only providers with Google's API have it; leave it out, or route this model to one of them"

// readRequest implements dialect.API.
func readRequest(r *dialect.Request, body []byte, call dialect.Call) *llmprovider.Error {
	r.Model, r.Stream, r.Count, r.StreamUsage = call.Model, call.Stream, call.Count, true
	if whole := dialect.GetCamel(body, "generateContentRequest"); call.Count && whole != nil {
		body = whole
	}
	var contents, system dialect.JSON
	for key, value := range jsonscan.Members(body) {
		if jsonscan.IsNull(value) {
			continue
		}
		switch string(dialect.CamelName(key)) {
		case "contents":
			contents = value
		case "systemInstruction":
			system = value
		case "generationConfig":
			if err := readConfig(r, value); err != nil {
				return err
			}
		case "tools":
			if err := readTools(r, value); err != nil {
				return err
			}
		case "toolConfig":
			if err := readChoice(r, dialect.GetCamel(value, "functionCallingConfig")); err != nil {
				return err
			}
		case "model":
		case "cachedContent":
			return r.Refuse(dialect.CStored, onlyHere)
		case "safetySettings":
			r.Loss.Drop(dialect.CSafety)
		case "labels":
			r.Loss.Drop(dialect.CLabels)
		case "serviceTier":
			switch tier := jsonscan.Text(value); tier {
			case "standard":
				r.Settings.ServiceTier = dialect.JSON(`"default"`)
			case "flex", "priority":
				r.Settings.ServiceTier = value
			}
		case "store":
			r.Settings.Store = dialect.Flag(value)
		default:
			r.Loss.Drop(dialect.Other)
		}
	}
	c := reader{r: r}
	if system != nil {
		parts, err := c.readParts(system)
		if err != nil {
			return err
		}
		r.Turns = append(r.Turns, dialect.Turn{Role: dialect.System, Parts: parts})
	}
	return c.readContents(contents)
}

func readConfig(r *dialect.Request, config dialect.JSON) *llmprovider.Error {
	s := &r.Settings
	for key, value := range jsonscan.Members(config) {
		if jsonscan.IsNull(value) {
			continue
		}
		switch string(dialect.CamelName(key)) {
		case "temperature":
			s.Temperature = value
		case "topP":
			s.TopP = value
		case "topK":
			s.TopK = integer(value)
		case "candidateCount":
			s.Candidates = value
		case "maxOutputTokens":
			s.MaxOutput = value
		case "stopSequences":
			for stop := range jsonscan.Elements(value) {
				s.Stop = append(s.Stop, stop)
			}
		case "presencePenalty":
			s.PresencePenalty = value
		case "frequencyPenalty":
			s.FrequencyPenalty = value
		case "seed":
			s.Seed = value
		case "responseLogprobs":
			if dialect.IsTrue(value) {
				return r.Refuse(dialect.CLogProbs, onlyHere)
			}
		case "logprobs": // of no effect without responseLogprobs
		case "responseMimeType":
			if string(jsonscan.Plain(value)) == "application/json" && s.Format.Kind == 0 {
				s.Format.Kind = dialect.FormatJSON
			}
		case "responseJsonSchema":
			s.Format.Kind, s.Format.Schema = dialect.FormatSchema, value
		case "responseSchema":
			schema, exact := jsonSchema(value)
			if !exact {
				r.Loss.Approximate(dialect.CFormat)
			}
			s.Format.Kind, s.Format.Schema, s.Format.Closed = dialect.FormatSchema, schema, true
		case "thinkingConfig":
			readThinking(r, value)
		case "responseModalities":
			for m := range jsonscan.Elements(value) {
				if !bytes.EqualFold(jsonscan.Inner(m), []byte("text")) {
					return r.Refuse(dialect.CModalities, onlyHere)
				}
			}
		case "speechConfig", "imageConfig":
			return r.Refuse(dialect.CModalities, onlyHere)
		default:
			r.Loss.Drop(dialect.Other)
		}
	}
	return nil
}

// integer drops a fraction of zero, as in 40.0, which other APIs reject.
func integer(value dialect.JSON) dialect.JSON {
	if whole, fraction, ok := bytes.Cut(value, []byte{'.'}); ok && len(bytes.Trim(fraction, "0")) == 0 {
		return whole
	}
	return value
}

func readThinking(r *dialect.Request, value dialect.JSON) {
	s := &r.Settings
	s.Summary = dialect.IsTrue(dialect.GetCamel(value, "includeThoughts"))
	if budget := dialect.GetCamel(value, "thinkingBudget"); budget != nil {
		switch string(budget) {
		case "0":
			s.Thinking = dialect.ThinkingOff
		case "-1":
			s.Thinking = dialect.ThinkingAdaptive
		default:
			s.Thinking, s.Budget = dialect.ThinkingOn, budget
		}
	}
	switch string(bytes.ToUpper(jsonscan.Inner(dialect.GetCamel(value, "thinkingLevel")))) {
	case "MINIMAL":
		s.Effort = dialect.EffortMinimal
	case "LOW":
		s.Effort = dialect.EffortLow
	case "MEDIUM":
		s.Effort = dialect.EffortMedium
	case "HIGH":
		s.Effort = dialect.EffortHigh
	}
}

func readTools(r *dialect.Request, value dialect.JSON) *llmprovider.Error {
	for tool := range jsonscan.Elements(value) {
		for key, v := range jsonscan.Members(tool) {
			if jsonscan.IsNull(v) {
				continue
			}
			if string(dialect.CamelName(key)) != "functionDeclarations" {
				r.Tools = append(r.Tools, dialect.Tool{Kind: dialect.Hosted})
				continue
			}
			for f := range jsonscan.Elements(v) {
				t := dialect.Tool{Kind: dialect.Function}
				for key, v := range jsonscan.Members(f) {
					if jsonscan.IsNull(v) {
						continue
					}
					switch string(dialect.CamelName(key)) {
					case "name":
						t.Name = jsonscan.Text(v)
					case "description":
						t.Description = v
					case "parametersJsonSchema":
						t.Schema = v
					case "parameters":
						schema, exact := jsonSchema(v)
						if t.Schema = schema; !exact {
							r.Loss.Approximate(dialect.CToolSchema)
						}
					default:
						r.Loss.Drop(dialect.CToolOption)
					}
				}
				if t.Name == "" {
					return dialect.Invalid("tools[].functionDeclarations[].name", "a name")
				}
				r.Tools = append(r.Tools, t)
			}
		}
	}
	return nil
}

func readChoice(r *dialect.Request, config dialect.JSON) *llmprovider.Error {
	if config == nil {
		return nil
	}
	var names []string
	for n := range jsonscan.Elements(dialect.GetCamel(config, "allowedFunctionNames")) {
		names = append(names, jsonscan.Text(n))
	}
	switch mode := string(bytes.ToUpper(jsonscan.Inner(dialect.GetCamel(config, "mode")))); mode {
	case "", "MODE_UNSPECIFIED", "AUTO", "VALIDATED":
		r.Choice.Mode = dialect.ChoiceAuto
		if mode == "VALIDATED" {
			r.Loss.Approximate(dialect.CChoice)
		}
		if len(names) > 0 {
			r.Choice = dialect.Choice{Mode: dialect.ChoiceSubset, Names: names}
		}
	case "ANY":
		switch len(names) {
		case 0:
			r.Choice.Mode = dialect.ChoiceAny
		case 1:
			r.Choice = dialect.Choice{Mode: dialect.ChoiceNamed, Names: names}
		default:
			r.Choice = dialect.Choice{Mode: dialect.ChoiceSubset, Names: names, Must: true}
		}
	case "NONE":
		r.Choice.Mode = dialect.ChoiceNone
	default:
		return dialect.Invalid("toolConfig.functionCallingConfig.mode", "AUTO, ANY, NONE or VALIDATED")
	}
	return nil
}
