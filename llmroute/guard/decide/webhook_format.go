package decide

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// agentgateway is the question in the format of agentgateway and kgateway:
// https://agentgateway.dev/docs/kubernetes/latest/llm/guardrails/webhook/.
func (q *Question) agentgateway() []byte {
	if q.Of == OnRequest {
		return encoded(map[string]any{"body": map[string]any{"messages": q.Messages}})
	}
	type choice struct {
		Message Message `json:"message"`
	}
	choices := make([]choice, len(q.Messages))
	for i, m := range q.Messages {
		choices[i].Message = m
	}
	return encoded(map[string]any{"body": map[string]any{"choices": choices}})
}

var errNonsense = errors.New("the service did not answer in its format")

// readAgentgateway reads what a service says. What it wants is told by the members: a body
// that is text refuses, one that is an object replaces the texts, none lets pass.
func readAgentgateway(said []byte, q *Question) (*Verdict, error) {
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
			return &Verdict{Denied: true, Status: answer.Action.StatusCode}, nil
		}
		return &Verdict{}, nil
	case body[0] == '"':
		return &Verdict{Denied: true, Status: answer.Action.StatusCode}, nil
	}
	var masked struct {
		Messages []Message `json:"messages"`
		Choices  []struct {
			Message Message `json:"message"`
		} `json:"choices"`
	}
	if json.Unmarshal(body, &masked) != nil {
		return nil, errNonsense
	}
	if q.Of == OnResponse {
		masked.Messages = nil
		for _, c := range masked.Choices {
			masked.Messages = append(masked.Messages, c.Message)
		}
	}
	v := &Verdict{}
	for _, m := range masked.Messages {
		v.Texts = append(v.Texts, m.Content)
	}
	if len(v.Texts) != len(q.Messages) {
		return nil, errNonsense // it is not known what is to be replaced by what
	}
	return v, nil
}

// liteLLM is the question in the format of LiteLLM's generic guardrail API:
// https://docs.litellm.ai/docs/adding_provider/generic_guardrail_api.
func (h *webhook) liteLLM(q *Question) []byte {
	texts := make([]string, len(q.Messages))
	for i, m := range q.Messages {
		texts[i] = m.Content
	}
	body := map[string]any{
		"texts": texts, "images": []string{}, "tools": []string{}, "tool_calls": []string{}, "structured_messages": q.Messages,
		"request_data":    map[string]any{"user_api_key_alias": q.Client},
		"request_headers": h.headers(q.Header), "input_type": string(q.Of),
		"additional_provider_specific_params": map[string]any{},
	}
	if q.Of == OnResponse {
		delete(body, "structured_messages")
	}
	return encoded(body)
}

// readLiteLLM reads what a service says.
func readLiteLLM(said []byte, q *Question) (*Verdict, error) {
	var answer struct {
		Action string   `json:"action"`
		Texts  []string `json:"texts"`
	}
	if json.Unmarshal(said, &answer) != nil {
		return nil, errNonsense
	}
	switch answer.Action {
	case "NONE":
		return &Verdict{}, nil
	case "BLOCKED":
		return &Verdict{Denied: true}, nil
	case "GUARDRAIL_INTERVENED":
		if len(answer.Texts) == len(q.Messages) {
			return &Verdict{Texts: answer.Texts}, nil
		}
	}
	return nil, errNonsense
}
