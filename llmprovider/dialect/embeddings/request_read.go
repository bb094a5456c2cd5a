package embeddings

import (
	"bytes"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// maxInputs bounds the inputs of a request.
const maxInputs = 4096

// readOpenAI implements dialect.API.
func readOpenAI(r *dialect.Request, body []byte, call dialect.Call) *llmprovider.Error {
	e := new(dialect.Embed)
	r.Model, r.Embed = call.Model, e
	for name, v := range jsonscan.Members(body) {
		if jsonscan.IsNull(v) {
			continue
		}
		switch string(jsonscan.Plain(name)) {
		case "model":
			r.Model = jsonscan.Text(v)
		case "input":
			if jsonscan.IsString(v) {
				e.Inputs = []dialect.JSON{v}
				continue
			}
			for input := range jsonscan.Elements(v) {
				if !jsonscan.IsString(input) {
					return r.Refuse(dialect.CText, "it takes texts and no tokens")
				}
				e.Inputs = append(e.Inputs, input)
			}
		case "dimensions":
			e.Dimensions = v
		case "encoding_format":
			e.Base64 = string(jsonscan.Plain(v)) == "base64"
		case "user":
			r.Settings.User = v
		default:
			r.Loss.Drop(dialect.Other)
		}
	}
	if len(e.Inputs) == 0 || len(e.Inputs) > maxInputs {
		return dialect.Invalid("input", "a text or an array of 1 to 4096 texts")
	}
	return nil
}

// readGemini implements dialect.API.
func readGemini(r *dialect.Request, body []byte, call dialect.Call) *llmprovider.Error {
	r.Model, r.Embed = call.Model, new(dialect.Embed)
	requests := dialect.GetCamel(body, "requests")
	if requests == nil {
		return readContent(r, body, false)
	}
	r.Embed.Batch = true
	for request := range jsonscan.Elements(requests) {
		if err := readContent(r, request, len(r.Embed.Inputs) > 0); err != nil {
			return err
		}
	}
	if n := len(r.Embed.Inputs); n == 0 || n > maxInputs {
		return dialect.Invalid("requests", "an array of 1 to 4096 requests")
	}
	return nil
}

// readContent reads one request for an embedding. Those of a batch must agree in
// everything but their content, since other APIs have one setting for all. Vertex AI has
// the settings in an object of their own.
func readContent(r *dialect.Request, request dialect.JSON, again bool) *llmprovider.Error {
	var text, dimensions, task dialect.JSON
	members := func(object dialect.JSON) *llmprovider.Error {
		for name, v := range jsonscan.Members(object) {
			if jsonscan.IsNull(v) {
				continue
			}
			switch string(dialect.CamelName(name)) {
			case "model", "embedContentConfig":
			case "content":
				var refused *llmprovider.Error
				if text, refused = readText(r, v); refused != nil {
					return refused
				}
			case "outputDimensionality":
				dimensions = v
			case "taskType":
				task = v
			case "title":
				r.Loss.Drop(dialect.CDocumentName)
			default:
				r.Loss.Drop(dialect.Other)
			}
		}
		return nil
	}
	if refused := members(request); refused != nil {
		return refused
	}
	if refused := members(dialect.GetCamel(request, "embedContentConfig")); refused != nil {
		return refused
	}
	if text == nil {
		return dialect.Invalid("content.parts", "an array of parts with a text")
	}
	e := r.Embed
	if again && (!bytes.Equal(dimensions, e.Dimensions) || !bytes.Equal(task, e.Task)) {
		return r.Refuse(dialect.CDimensions, "it has one number of dimensions and one task for all of a batch")
	}
	e.Dimensions, e.Task = dimensions, task
	e.Inputs = append(e.Inputs, text)
	return nil
}

// readText returns the text of a content, a JSON string, or nil if it has none.
func readText(r *dialect.Request, content dialect.JSON) (dialect.JSON, *llmprovider.Error) {
	text := []byte{'"'}
	for part := range jsonscan.Elements(dialect.GetCamel(content, "parts")) {
		value := dialect.GetCamel(part, "text")
		if !jsonscan.IsString(value) {
			return nil, r.Refuse(dialect.CText, "it takes texts alone")
		}
		if len(text) > 1 {
			text = append(text, `\n`...)
		}
		text = append(text, jsonscan.Inner(value)...)
	}
	if len(text) == 1 {
		return nil, nil
	}
	return append(text, '"'), nil
}
