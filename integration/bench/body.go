package main

import (
	"encoding/json"
	"strings"
)

// api is an API that clients and providers speak.
type api struct {
	name, path string
}

var (
	chatAPI      = &api{"chat", "/v1/chat/completions"}
	messagesAPI  = &api{"messages", "/v1/messages"}
	responsesAPI = &api{"responses", "/v1/responses"}
)

// message is a turn of a conversation.
type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

const system = "You are a terse assistant."

// encode is the body of a request in the API.
func (a *api) encode(model string, turns []message, stream, askUsage bool) []byte {
	type streamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	}
	var request any
	switch a {
	case messagesAPI:
		request = struct {
			Model     string    `json:"model"`
			MaxTokens int       `json:"max_tokens"`
			System    string    `json:"system"`
			Messages  []message `json:"messages"`
			Stream    bool      `json:"stream,omitempty"`
		}{model, 4096, system, turns, stream}
	case responsesAPI:
		request = struct {
			Model        string    `json:"model"`
			Instructions string    `json:"instructions"`
			Input        []message `json:"input"`
			Stream       bool      `json:"stream,omitempty"`
			Store        bool      `json:"store"`
		}{model, system, turns, stream, false}
	default:
		var options *streamOptions
		if askUsage {
			options = &streamOptions{true}
		}
		request = struct {
			Model    string         `json:"model"`
			Messages []message      `json:"messages"`
			Stream   bool           `json:"stream,omitempty"`
			Options  *streamOptions `json:"stream_options,omitempty"`
		}{model, append([]message{{"system", system}}, turns...), stream, options}
	}
	body, err := json.Marshal(request)
	if err != nil {
		panic(err) // the types above always encode
	}
	return body
}

// body is the request's body for the model: a chat of at most 20 messages in
// the form that SDKs send, with the escapes that code in a prompt brings.
func (s *shape) body(model string, stream, askUsage bool) []byte {
	return s.bodyIn(chatAPI, model, stream, askUsage)
}

// bodyIn is the same conversation in an API, in a body of the same size.
func (s *shape) bodyIn(a *api, model string, stream, askUsage bool) []byte {
	encode := func(prompt string) []byte {
		var turns []message
		const part = 50_000
		for len(prompt) > part {
			turns = append(turns, message{"user", prompt[:part]}, message{"assistant", "Go on."})
			prompt = prompt[part:]
		}
		return a.encode(model, append(turns, message{"user", prompt}), stream, askUsage)
	}
	const text = "if err != nil {\n\treturn fmt.Errorf(\"no response from the provider: %w\", err)\n} "
	prompt := strings.Repeat(text, s.request/len(text)+1)
	// Escapes and names take room as well: shorten the prompt until all of it
	// has the size, and fill up what is then missing.
	for len(encode(prompt)) > s.request && prompt != "" {
		over := len(encode(prompt)) - s.request
		prompt = prompt[:max(0, len(prompt)-max(1, over*3/4))]
	}
	prompt += strings.Repeat("x", max(0, s.request-len(encode(prompt))))
	return encode(prompt)
}
