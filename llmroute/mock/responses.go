package mock

import (
	"net/http"
	"strconv"
)

// What a response says besides its id, status, model, output and usage. A mock
// has no use for the request's settings, so these are the API's defaults.
const responseSettings = `,"background":false,"error":null,"incomplete_details":null,"instructions":null,` +
	`"max_output_tokens":null,"max_tool_calls":null,"parallel_tool_calls":true,"previous_response_id":null,` +
	`"prompt_cache_key":null,"reasoning":{"effort":null,"summary":null},"safety_identifier":null,` +
	`"service_tier":"default","store":false,"temperature":1.0,"text":{"format":{"type":"text"},"verbosity":"medium"},` +
	`"tool_choice":"auto","tools":[],"top_logprobs":0,"top_p":1.0,"truncation":"disabled","user":null,"metadata":{}`

// answerResponse sends a whole response of the responses API.
func (m *Handler) answerResponse(w http.ResponseWriter, req *request, id uint64) {
	buf := getBuffer(&m.outs)
	defer putBuffer(&m.outs, buf)

	b := appendResponse(*buf, req, id, "completed")
	var text []byte
	if req.tool != "" {
		b = appendFunctionCall(b, id, req.tool, "completed", `"{}"`)
	} else {
		text = m.text
		b = appendMessage(b, id)
	}
	cut := len(b)
	if req.tool == "" {
		b = append(b, messageEnd...)
	}
	b = append(b, ']')
	b = m.appendResponseUsage(b, req)
	*buf = append(b, '}')
	writeJSON(w, http.StatusOK, (*buf)[:cut], text, (*buf)[cut:])
}

// answerCount sends how many tokens the request's input has.
func (m *Handler) answerCount(w http.ResponseWriter, req *request) {
	input, _ := m.usage(req)
	b := strconv.AppendInt([]byte(`{"object":"response.input_tokens","input_tokens":`), int64(input), 10)
	writeJSON(w, http.StatusOK, append(b, '}'), nil, nil)
}

// answerCompaction sends a conversation as one item, in which there is nothing.
func (m *Handler) answerCompaction(w http.ResponseWriter, req *request, id uint64) {
	b := appendHead([]byte{'{'}, "resp_", id, "response.compaction", "created_at", req.model)
	b = append(b, `,"output":[{"id":"`...)
	b = appendID(b, "cmp_", id)
	b = append(b, `","type":"compaction","encrypted_content":""}]`...)
	b = append(m.appendResponseUsage(b, req), '}')
	writeJSON(w, http.StatusOK, b, nil, nil)
}

// streamResponse sends a response as the events of the responses API.
func (m *Handler) streamResponse(w http.ResponseWriter, r *http.Request, req *request, id uint64) {
	s := m.openStream(w, r)
	e := eventWriter{stream: s}
	pending := appendResponse([]byte(`,"response":`), req, id, "in_progress")
	pending = append(pending, `],"usage":null}`...)
	e.send("response.created", pending, nil, "")
	e.send("response.in_progress", pending, nil, "")

	done := appendResponse([]byte(`,"response":`), req, id, "completed")
	if req.tool != "" {
		item := string(appendID(nil, `,"item_id":"fc_`, id)) + `","output_index":0`
		added := append([]byte(`,"output_index":0,"item":`), appendFunctionCall(nil, id, req.tool, "in_progress", `""`)...)
		e.send("response.output_item.added", added, nil, "")
		s.pause()
		e.send("response.function_call_arguments.delta", []byte(item), nil, `,"delta":"{}"`)
		e.send("response.function_call_arguments.done", []byte(item), nil, `,"name":`+req.tool+`,"arguments":"{}"`)
		call := appendFunctionCall(nil, id, req.tool, "completed", `"{}"`)
		e.send("response.output_item.done", []byte(`,"output_index":0,"item":`), call, "")
		e.send("response.completed", append(done, call...), nil, `]`+string(m.appendResponseUsage(nil, req))+`}`)
		m.closeStream(s)
		return
	}

	item := string(appendID(nil, `,"item_id":"msg_`, id)) + `","output_index":0,"content_index":0`
	added := append(appendID([]byte(`,"output_index":0,"item":{"id":"`), "msg_", id),
		`","type":"message","status":"in_progress","content":[],"role":"assistant"}`...)
	e.send("response.output_item.added", added, nil, "")
	e.send("response.content_part.added", []byte(item), nil, `,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}`)
	delta := []byte(item + `,"logprobs":[],"delta":`)
	for i, text := range m.chunkTexts {
		if i > 0 {
			s.pause()
		}
		e.send("response.output_text.delta", delta, text, "")
	}
	e.send("response.output_text.done", []byte(item+`,"logprobs":[],"text":`), m.text, "")
	e.send("response.content_part.done", []byte(item+`,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":`), m.text, `}`)
	e.send("response.output_item.done", appendMessage([]byte(`,"output_index":0,"item":`), id), m.text, messageEnd)
	e.send("response.completed", appendMessage(done, id), m.text, messageEnd+`]`+string(m.appendResponseUsage(nil, req))+`}`)
	m.closeStream(s)
}

// eventWriter numbers and sends the events of one response.
type eventWriter struct {
	stream *stream
	number int64
}

// send sends one event whose members after the number are the three parts.
func (e *eventWriter) send(kind string, before, text []byte, after string) {
	b := append((*e.stream.buf)[:0], "event: "...)
	b = append(b, kind...)
	b = append(b, "\ndata: {\"type\":\""...)
	b = append(b, kind...)
	b = append(b, `","sequence_number":`...)
	b = strconv.AppendInt(b, e.number, 10)
	b = append(b, before...)
	b = append(b, text...)
	b = append(b, after...)
	*e.stream.buf = append(b, "}\n\n"...)
	e.number++
	e.stream.send(*e.stream.buf)
}

// appendResponse appends a response object up to its first output item.
func appendResponse(b []byte, req *request, id uint64, status string) []byte {
	b = append(b, '{')
	b = appendHead(b, "resp_", id, "response", "created_at", req.model)
	b = append(b, `,"status":"`...)
	b = append(b, status...)
	b = append(b, '"')
	b = append(b, responseSettings...)
	return append(b, `,"output":[`...)
}

// appendMessage appends an output message up to its text; messageEnd
// is what follows the text.
func appendMessage(b []byte, id uint64) []byte {
	b = append(b, `{"id":"`...)
	b = appendID(b, "msg_", id)
	return append(b, `","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":`...)
}

const messageEnd = `}]}`

// appendFunctionCall appends an output item that calls a function; name
// and arguments are JSON strings.
func appendFunctionCall(b []byte, id uint64, name, status, arguments string) []byte {
	b = append(b, `{"id":"`...)
	b = appendID(b, "fc_", id)
	b = append(b, `","type":"function_call","status":"`...)
	b = append(b, status...)
	b = append(b, `","call_id":"`...)
	b = appendID(b, "call_", id)
	b = append(b, `","name":`...)
	b = append(b, name...)
	b = append(b, `,"arguments":`...)
	b = append(b, arguments...)
	return append(b, '}')
}

// appendResponseUsage appends the member "usage" of a response.
func (m *Handler) appendResponseUsage(b []byte, req *request) []byte {
	input, output := m.usage(req)
	b = append(b, `,"usage":{"input_tokens":`...)
	b = strconv.AppendInt(b, int64(input), 10)
	b = append(b, `,"input_tokens_details":{"cached_tokens":0},"output_tokens":`...)
	b = strconv.AppendInt(b, int64(output), 10)
	b = append(b, `,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":`...)
	b = strconv.AppendInt(b, int64(input+output), 10)
	return append(b, '}')
}
