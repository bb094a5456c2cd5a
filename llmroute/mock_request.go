package llmroute

import (
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/tidwall/gjson"
)

const (
	// What is repeated in answers, the model in every chunk, must be short for
	// answers to stay small. In bytes.
	mockMaxModel = 256
	mockMaxTool  = 256

	mockMaxInputs = 2048 // OpenAI's own limit
)

// mockRequest is what a request tells that its answer depends on. It holds
// nothing of the request's body.
type mockRequest struct {
	model      string // a JSON string
	stream     bool
	wantUsage  bool   // stream_options.include_usage
	base64     bool   // encoding_format
	inputs     int    // how many embeddings or moderations are asked for
	promptSize int    // bytes
	tool       string // the function to call, a JSON string; empty: answer with text
}

// mockParse reads the body of a POST. The answer's model is defaultModel, a
// JSON string, where the request names none.
func mockParse(body []byte, endpoint mockEndpoint, defaultModel string) (mockRequest, *mockError) {
	req := mockRequest{model: defaultModel}
	var model, stream, options, input, format, tools, toolChoice []byte
	// Of a repeated member the last counts, as in most JSON parsers.
	ok := utf8.Valid(body) && mockScanObject(body, func(key, value []byte) {
		switch mockView(key).Str {
		case "model":
			model = value
		case "stream":
			stream = value
		case "stream_options":
			options = value
		case mockInputMember(endpoint):
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
		return req, mockBadValue("", "The request body is not valid JSON. Send one JSON object as the body.")
	}
	req.promptSize = len(input)
	req.stream = string(stream) == "true"
	switch m := mockView(model); {
	case m.Type == gjson.String && len(model) > mockMaxModel+len(`""`):
		return req, mockBadValue("model", fmt.Sprintf("'model' must have at most %d bytes.", mockMaxModel))
	case m.Type == gjson.String:
		req.model = string(model)
	case m.Type != gjson.Null:
		return req, mockBadValue("model", "'model' must be a string.")
	}
	if s := mockView(stream); !s.IsBool() && s.Type != gjson.Null {
		return req, mockBadValue("stream", "'stream' must be true or false.")
	}

	switch endpoint {
	case mockChat, mockCompletions:
		if endpoint == mockChat && len(input) > 0 && input[0] != '[' {
			return req, mockBadValue("messages", "'messages' must be an array.")
		}
		o := mockView(options)
		if o.Type != gjson.Null && !req.stream {
			return req, mockBadValue("stream_options", "'stream_options' is only allowed when 'stream' is true.")
		}
		req.wantUsage = o.Get("include_usage").Bool()
	case mockEmbeddings, mockModerations:
		req.inputs = mockCountInputs(input, endpoint)
		if req.inputs == 0 || req.inputs > mockMaxInputs {
			return req, mockBadValue("input", fmt.Sprintf("'input' must be a string or an array of 1 to %d inputs.", mockMaxInputs))
		}
		f := mockView(format)
		req.base64 = f.Str == "base64"
		if f.Type != gjson.Null && f.Str != "float" && !req.base64 {
			return req, mockBadValue("encoding_format", "'encoding_format' must be \"float\" or \"base64\".")
		}
	}
	if endpoint == mockChat || endpoint == mockResponses {
		req.tool = mockToolToCall(mockView(tools), mockView(toolChoice), input)
	}
	return req, nil
}

// mockInputMember names the member that holds the prompt.
func mockInputMember(endpoint mockEndpoint) string {
	switch endpoint {
	case mockChat:
		return "messages"
	case mockCompletions:
		return "prompt"
	}
	return "input"
}

// mockView parses a value without copying it. Nothing of the result may outlive
// the request's body.
func mockView(value []byte) gjson.Result {
	return gjson.Parse(unsafe.String(unsafe.SliceData(value), len(value)))
}

// mockCountInputs tells how many results the member "input" asks for: one for
// a string or an array of tokens or of content parts, else one per element.
func mockCountInputs(input []byte, endpoint mockEndpoint) int {
	if len(input) == 0 || input[0] != '[' {
		if len(input) > 0 && input[0] == '"' {
			return 1
		}
		return 0
	}
	n := 0
	mockView(input).ForEach(func(_, element gjson.Result) bool {
		n++
		single := element.Type == gjson.Number || endpoint == mockModerations && element.IsObject()
		return !single && n <= mockMaxInputs
	})
	return n
}

// mockToolToCall returns the name of the function to call, as a JSON string,
// or nothing when the request offers none or does not come from the user.
func mockToolToCall(tools, choice gjson.Result, input []byte) string {
	if !tools.IsArray() || len(input) == 0 || choice.Str == "none" {
		return ""
	}
	if input[0] == '[' {
		var last gjson.Result
		mockView(input).ForEach(func(_, message gjson.Result) bool {
			last = message
			return true
		})
		if last.Get("role").Str != "user" {
			return ""
		}
	}
	name := mockFunctionName(choice)
	if name == "" {
		tools.ForEach(func(_, tool gjson.Result) bool {
			name = mockFunctionName(tool)
			return name == ""
		})
	}
	if len(name) > mockMaxTool+len(`""`) {
		return ""
	}
	return strings.Clone(name)
}

// mockFunctionName reads a function's name, as it is written there, from a
// tool or tool choice of chat completions (nested) or of responses (flat).
func mockFunctionName(tool gjson.Result) string {
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

// mockBadValue returns the error for a body or a parameter of it.
func mockBadValue(param, message string) *mockError {
	return &mockError{status: http.StatusBadRequest, param: param, message: message}
}
