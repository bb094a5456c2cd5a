package guard

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// message is a text as services are asked about it.
type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// agentgateway is the question in the format of agentgateway and kgateway:
// https://agentgateway.dev/docs/kubernetes/latest/llm/guardrails/webhook/.
func (q *question) agentgateway() []byte {
	if q.of == onRequest {
		return encoded(map[string]any{"body": map[string]any{"messages": q.messages}})
	}
	type choice struct {
		Message message `json:"message"`
	}
	choices := make([]choice, len(q.messages))
	for i, m := range q.messages {
		choices[i].Message = m
	}
	return encoded(map[string]any{"body": map[string]any{"choices": choices}})
}

var errNonsense = errors.New("the service did not answer in its format")

// readAgentgateway reads what a service says. What it wants is told by the members: a body
// that is text refuses, one that is an object replaces the texts, none lets pass.
func readAgentgateway(said []byte, q *question) (*verdict, error) {
	var answer struct {
		Action *struct {
			Body       json.RawMessage `json:"body"`
			StatusCode int             `json:"status_code"`
		} `json:"action"`
	}
	if json.Unmarshal(said, &answer) != nil || answer.Action == nil {
		return nil, errNonsense
	}
	body := bytes.TrimSpace(answer.Action.Body)
	switch {
	case len(body) == 0 || jsonscan.IsNull(body):
		if answer.Action.StatusCode >= http.StatusBadRequest {
			return &verdict{denied: true, status: answer.Action.StatusCode}, nil
		}
		return &verdict{}, nil
	case body[0] == '"':
		return &verdict{denied: true, status: answer.Action.StatusCode}, nil
	}
	var masked struct {
		Messages []message `json:"messages"`
		Choices  []struct {
			Message message `json:"message"`
		} `json:"choices"`
	}
	if json.Unmarshal(body, &masked) != nil {
		return nil, errNonsense
	}
	if q.of == onResponse {
		masked.Messages = nil
		for _, c := range masked.Choices {
			masked.Messages = append(masked.Messages, c.Message)
		}
	}
	v := &verdict{}
	for _, m := range masked.Messages {
		v.texts = append(v.texts, m.Content)
	}
	if len(v.texts) != len(q.messages) {
		return nil, errNonsense // it is not known what is to be replaced by what
	}
	return v, nil
}

// liteLLM is the question in the format of LiteLLM's generic guardrail API:
// https://docs.litellm.ai/docs/adding_provider/generic_guardrail_api.
func (h *webhook) liteLLM(q *question) []byte {
	texts := make([]string, len(q.messages))
	for i, m := range q.messages {
		texts[i] = m.Content
	}
	body := map[string]any{
		"texts": texts, "images": []string{}, "tools": []string{}, "tool_calls": []string{}, "structured_messages": q.messages,
		"request_data":    map[string]any{"user_api_key_alias": q.client},
		"request_headers": h.headers(q.header), "input_type": string(q.of),
		"additional_provider_specific_params": map[string]any{},
	}
	if q.of == onResponse {
		delete(body, "structured_messages")
	}
	return encoded(body)
}

// readLiteLLM reads what a service says.
func readLiteLLM(said []byte, q *question) (*verdict, error) {
	var answer struct {
		Action string   `json:"action"`
		Texts  []string `json:"texts"`
	}
	if json.Unmarshal(said, &answer) != nil {
		return nil, errNonsense
	}
	switch answer.Action {
	case "NONE":
		return &verdict{}, nil
	case "BLOCKED":
		return &verdict{denied: true}, nil
	case "GUARDRAIL_INTERVENED":
		if len(answer.Texts) == len(q.messages) {
			return &verdict{texts: answer.Texts}, nil
		}
	}
	return nil, errNonsense
}
