package mock

import (
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/tidwall/gjson"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

const (
	// What is repeated in responses, the model in every chunk, must be short for
	// answers to stay small. In bytes.
	maxModel = 256
	maxTool  = 256

	maxInputs = 2048 // OpenAI's own limit
)

// request is what a request tells that its response depends on. It holds
// nothing of the request's body.
type request struct {
	model      string // a JSON string
	stream     bool
	wantUsage  bool   // stream_options.include_usage
	base64     bool   // encoding_format
	inputs     int    // how many embeddings or moderations are asked for
	promptSize int    // bytes
	tool       string // the function to call, a JSON string; empty: answer with text
}

// parseRequest reads the body of a POST. The response's model is defaultModel, a
// JSON string, where the request names none.
func parseRequest(body []byte, endpoint endpoint, defaultModel string) (request, *apiError) {
	req := request{model: defaultModel}
	var model, stream, options, input, format, tools, toolChoice []byte
	// Of a repeated member the last counts, as in most JSON parsers.
	ok := utf8.Valid(body) && jsonscan.Object(body, func(key, value []byte) {
		switch viewOf(key).Str {
		case "model":
			model = value
		case "stream":
			stream = value
		case "stream_options":
			options = value
		case inputMember(endpoint):
			input = value
		case "encoding_format":
			format = value
		case "tools":
			tools = value
		case "tool_choice":
			toolChoice = value
		}
	})
	if !ok {
		return req, badValue("", "The request body is not valid JSON. Send one JSON object as the body.")
	}
	req.promptSize = len(input)
	req.stream = string(stream) == "true"
	switch m := viewOf(model); {
	case m.Type == gjson.String && len(model) > maxModel+len(`""`):
		return req, badValue("model", fmt.Sprintf("'model' must have at most %d bytes.", maxModel))
	case m.Type == gjson.String:
		req.model = string(model)
	case m.Type != gjson.Null:
		return req, badValue("model", "'model' must be a string.")
	}
	if s := viewOf(stream); !s.IsBool() && s.Type != gjson.Null {
		return req, badValue("stream", "'stream' must be true or false.")
	}

	switch endpoint {
	case chatEndpoint, completionsEndpoint:
		if endpoint == chatEndpoint && len(input) > 0 && input[0] != '[' {
			return req, badValue("messages", "'messages' must be an array.")
		}
		o := viewOf(options)
		if o.Type != gjson.Null && !req.stream {
			return req, badValue("stream_options", "'stream_options' is only allowed when 'stream' is true.")
		}
		req.wantUsage = o.Get("include_usage").Bool()
	case embeddingsEndpoint, moderationsEndpoint:
		req.inputs = countInputs(input, endpoint)
		if req.inputs == 0 || req.inputs > maxInputs {
			return req, badValue("input", fmt.Sprintf("'input' must be a string or an array of 1 to %d inputs.", maxInputs))
		}
		f := viewOf(format)
		req.base64 = f.Str == "base64"
		if f.Type != gjson.Null && f.Str != "float" && !req.base64 {
			return req, badValue("encoding_format", "'encoding_format' must be \"float\" or \"base64\".")
		}
	}
	if endpoint == chatEndpoint || endpoint == responsesEndpoint {
		req.tool = toolToCall(viewOf(tools), viewOf(toolChoice), input)
	}
	return req, nil
}

// inputMember names the member that holds the prompt.
func inputMember(endpoint endpoint) string {
	switch endpoint {
	case chatEndpoint:
		return "messages"
	case completionsEndpoint:
		return "prompt"
	}
	return "input"
}

// viewOf parses a value without copying it. Nothing of the result may outlive
// the request's body.
func viewOf(value []byte) gjson.Result {
	return gjson.Parse(unsafe.String(unsafe.SliceData(value), len(value)))
}

// countInputs tells how many results the member "input" asks for: one for
// a string or an array of tokens or of content parts, else one per element.
func countInputs(input []byte, endpoint endpoint) int {
	if len(input) == 0 || input[0] != '[' {
		if len(input) > 0 && input[0] == '"' {
			return 1
		}
		return 0
	}
	n := 0
	viewOf(input).ForEach(func(_, element gjson.Result) bool {
		n++
		single := element.Type == gjson.Number || endpoint == moderationsEndpoint && element.IsObject()
		return !single && n <= maxInputs
	})
	return n
}

// toolToCall returns the name of the function to call, as a JSON string,
// or nothing when the request offers none or does not come from the user.
func toolToCall(tools, choice gjson.Result, input []byte) string {
	if !tools.IsArray() || len(input) == 0 || choice.Str == "none" {
		return ""
	}
	if input[0] == '[' {
		var last gjson.Result
		viewOf(input).ForEach(func(_, message gjson.Result) bool {
			last = message
			return true
		})
		if last.Get("role").Str != "user" {
			return ""
		}
	}
	name := functionName(choice)
	if name == "" {
		tools.ForEach(func(_, tool gjson.Result) bool {
			name = functionName(tool)
			return name == ""
		})
	}
	if len(name) > maxTool+len(`""`) {
		return ""
	}
	return strings.Clone(name)
}

// functionName reads a function's name, as it is written there, from a
// tool or tool choice of chat completions (nested) or of responses (flat).
func functionName(tool gjson.Result) string {
	if !tool.IsObject() || tool.Get("type").Str != "function" {
		return ""
	}
	name := tool.Get("function.name")
	if !name.Exists() {
		name = tool.Get("name")
	}
	if name.Type != gjson.String {
		return ""
	}
	return name.Raw
}

// badValue returns the error for a body or a parameter of it.
func badValue(param, message string) *apiError {
	return &apiError{status: http.StatusBadRequest, param: param, message: message}
}
