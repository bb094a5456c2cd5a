// Package fakemodel is a scripted model that speaks every API that providers have: it
// writes what the model says as a provider's response, whole or as a stream, and reads
// what the model is asked, as strictly as a provider would. Both are written from the
// documentation of the APIs, and share nothing with the gateway's own readers and writers.
// It imports fakeprovider. Start reading at Turn and Request; each API has a file.
package fakemodel

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// API is one that a provider speaks.
type API string

// The APIs.
const (
	Chat      API = "chat"
	Responses API = "responses"
	Messages  API = "messages"
	Gemini    API = "gemini"
	Converse  API = "converse"
)

// All are the APIs.
func All() []API { return []API{Chat, Responses, Messages, Gemini, Converse} }

// What every response reports. The prompt includes what was cached, and the completion
// the reasoning, whether the API counts so or not.
const (
	PromptTokens     = 100
	CachedTokens     = 64
	CompletionTokens = 20
	ReasoningTokens  = 7 // not in Converse and the Messages API
)

// State is the opaque state of the model's reasoning: a signature, or encrypted. Chat
// completions have none.
const State = "c3RhdGUgb2YgdGhlIG1vZGVs"

// Call is a call of a tool.
type Call struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"` // a JSON object
}

// Turn is what the model says.
type Turn struct {
	Reasoning string `json:"reasoning"`
	Text      string `json:"text"`
	Calls     []Call `json:"calls"`
}

// Request is what the model is asked.
type Request struct {
	Stream  bool                       `json:"stream"`
	System  string                     `json:"system"`
	User    string                     `json:"user"` // the texts of all user turns
	Images  []string                   `json:"images"`
	Tools   map[string]json.RawMessage `json:"tools"`   // schemas, by name
	Format  json.RawMessage            `json:"format"`  // the schema of the response, if there is one
	Calls   []Call                     `json:"calls"`   // of earlier turns
	Results map[string]string          `json:"results"` // by the call's ID
	States  []string                   `json:"states"`  // of earlier reasoning
}

// Reply is the provider's response.
func (a API) Reply(stream bool, t Turn) fakeprovider.Reply {
	switch a {
	case Responses:
		return responsesReply(stream, t)
	case Messages:
		return messagesReply(stream, t)
	case Gemini:
		return geminiReply(stream, t)
	case Converse:
		return converseReply(stream, t)
	}
	return chatReply(stream, t)
}

// Read reads a request. The error is why a provider would reject it.
func (a API) Read(r *fakeprovider.Recorded) (*Request, error) {
	read := map[API]func(*fakeprovider.Recorded, *Request) error{Chat: readChat, Responses: readResponses, Messages: readMessages, Gemini: readGemini, Converse: readConverse}[a]
	q := &Request{Tools: map[string]json.RawMessage{}, Results: map[string]string{}}
	if err := read(r, q); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", r.Method, r.Target, err, r.Body)
	}
	return q, nil
}

// Fail is an error of the provider's, in its API.
func (a API) Fail(status int, text string) fakeprovider.Reply {
	var body any
	name := map[API]map[int]string{
		Messages: {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error", 500: "api_error", 503: "overloaded_error"},
		Gemini:   {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"},
		Converse: {400: "ValidationException", 401: "UnrecognizedClientException", 403: "AccessDeniedException", 404: "ResourceNotFoundException", 429: "ThrottlingException", 500: "InternalServerException", 503: "ServiceUnavailableException"},
	}[a][status]
	type object map[string]any
	switch a {
	case Messages:
		body = object{"type": "error", "error": object{"type": name, "message": text}, "request_id": "req_1"}
	case Gemini:
		body = object{"error": object{"code": status, "message": text, "status": name}}
	case Converse:
		body = object{"message": text}
	default:
		body = object{"error": object{"message": text, "type": "an_error", "param": nil, "code": nil}}
	}
	document, _ := json.Marshal(body) // what is above always marshals
	reply := fakeprovider.JSON(status, string(document))
	if a == Converse {
		reply.Header.Set("X-Amzn-Errortype", name)
	}
	return reply
}

// Count is the response to a request for the number of tokens.
func (a API) Count(n int) fakeprovider.Reply {
	name := "input_tokens"
	switch a {
	case Gemini:
		name = "totalTokens"
	case Converse:
		name = "inputTokens"
	}
	return fakeprovider.JSON(200, fmt.Sprintf(`{"%s":%d}`, name, n))
}

// quoted is a text in a JSON string, without the quotes.
func quoted(s string) string {
	q, _ := json.Marshal(s) // a string always marshals
	return string(q[1 : len(q)-1])
}

// halves are a text in two pieces.
func halves(s string) []string {
	half := len(s) / 2
	for half > 0 && s[half]&0xc0 == 0x80 { // not inside a character
		half--
	}
	return []string{s[:half], s[half:]}
}

// open are calls that have no result yet.
type open map[string]bool

// call notes a call.
func (o open) call(q *Request, c Call) error {
	if c.ID == "" || c.Name == "" || !json.Valid([]byte(c.Arguments)) || !strings.HasPrefix(strings.TrimSpace(c.Arguments), "{") || o[c.ID] {
		return fmt.Errorf("the call %+v", c)
	}
	o[c.ID] = true
	q.Calls = append(q.Calls, c)
	return nil
}

// result notes a result.
func (o open) result(q *Request, id, text string) error {
	if !o[id] {
		return fmt.Errorf("a result of no call %q", id)
	}
	delete(o, id)
	q.Results[id] = text
	return nil
}

// texts joins what a content says, which is a string or an array of parts with texts.
func texts(content json.RawMessage) string {
	var plain string
	if json.Unmarshal(content, &plain) == nil {
		return plain
	}
	var parts []struct{ Text string }
	_ = json.Unmarshal(content, &parts) // what has no texts says nothing
	for _, p := range parts {
		plain += p.Text
	}
	return plain
}
