package mock

import (
	"net/http"
	"strconv"
	"time"
)

// shape holds what differs between the responses of chat completions and
// those of the older completions.
type shape struct {
	id            string // what ids begin with
	object, chunk string // the types of a response and of a chunk

	beforeText, afterText   string // around the text in a response's choice
	beforeDelta, afterDelta string // around a part of it in a chunk's choice
	first, last             string // whole choices of the first and the last chunk
	origin                  string // who answered
}

func shapeOf(endpoint endpoint) shape {
	if endpoint == completionsEndpoint {
		return shape{
			id: "cmpl-", object: "text_completion", chunk: "text_completion",
			beforeText:  `{"text":`,
			afterText:   `,"index":0,"logprobs":null,"finish_reason":"stop"}`,
			beforeDelta: `{"text":`,
			afterDelta:  `,"index":0,"logprobs":null,"finish_reason":null}`,
			last:        `{"text":"","index":0,"logprobs":null,"finish_reason":"stop"}`,
			origin:      `"system_fingerprint":"fp_mock"`,
		}
	}
	return shape{
		id: "chatcmpl-", object: "chat.completion", chunk: "chat.completion.chunk",
		beforeText:  `{"index":0,"message":{"role":"assistant","content":`,
		afterText:   `,"refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}`,
		beforeDelta: `{"index":0,"delta":{"content":`,
		afterDelta:  `},"logprobs":null,"finish_reason":null}`,
		first:       `{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}`,
		last:        `{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}`,
		origin:      `"service_tier":"default","system_fingerprint":"fp_mock"`,
	}
}

// answerCompletion sends a whole chat completion or completion.
func (m *Handler) answerCompletion(w http.ResponseWriter, req *request, id uint64, shape shape) {
	buf := getBuffer(&m.outs)
	defer putBuffer(&m.outs, buf)

	b := append(*buf, '{')
	b = appendHead(b, shape.id, id, shape.object, "created", req.model)
	b = append(b, `,"choices":[`...)
	text := m.text
	if req.tool != "" {
		text = nil
		b = append(b, `{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[`...)
		b = appendToolCall(b, id, req.tool, `"{}"`)
		b = append(b, `],"refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"tool_calls"}`...)
	} else {
		b = append(b, shape.beforeText...)
	}
	cut := len(b)
	if req.tool == "" {
		b = append(b, shape.afterText...)
	}
	b = append(b, `],`...)
	b = m.appendUsage(b, req)
	b = append(b, ',')
	b = append(b, shape.origin...)
	b = append(b, '}')
	*buf = b
	writeJSON(w, http.StatusOK, b[:cut], text, b[cut:])
}

// appendHead appends the members that every object begins with.
func appendHead(b []byte, prefix string, id uint64, object, created, model string) []byte {
	b = append(b, `"id":"`...)
	b = appendID(b, prefix, id)
	b = append(b, `","object":"`...)
	b = append(b, object...)
	b = append(b, `","`...)
	b = append(b, created...)
	b = append(b, `":`...)
	b = strconv.AppendInt(b, time.Now().Unix(), 10)
	b = append(b, `,"model":`...)
	return append(b, model...)
}

// appendID appends an id that no other request's objects have.
func appendID(b []byte, prefix string, id uint64) []byte {
	b = append(b, prefix...)
	return strconv.AppendUint(b, id, 16)
}

// appendToolCall appends one tool call; name and arguments are JSON strings.
func appendToolCall(b []byte, id uint64, name, arguments string) []byte {
	b = append(b, `{"id":"`...)
	b = appendID(b, "call_", id)
	b = append(b, `","type":"function","function":{"name":`...)
	b = append(b, name...)
	b = append(b, `,"arguments":`...)
	b = append(b, arguments...)
	return append(b, `}}`...)
}

// appendUsage appends the member "usage" of completions.
func (m *Handler) appendUsage(b []byte, req *request) []byte {
	prompt, completion := m.usage(req)
	b = append(b, `"usage":{"prompt_tokens":`...)
	b = strconv.AppendInt(b, int64(prompt), 10)
	b = append(b, `,"completion_tokens":`...)
	b = strconv.AppendInt(b, int64(completion), 10)
	b = append(b, `,"total_tokens":`...)
	b = strconv.AppendInt(b, int64(prompt+completion), 10)
	return append(b, `,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":`+
		`{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`...)
}
