package dialect

import (
	"strconv"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// countReader reads the response to a request that asks for the prompt's tokens. They
// come as the prompt tokens of a usage.
type countReader struct {
	api *API
	Whole
}

func (r *countReader) Close(emit func(*Event) error) error {
	doc := r.Doc()
	n, ok := Count(jsonscan.Get(doc, r.api.CountMember))
	if !ok {
		if failed := jsonscan.Get(doc, "error"); len(failed) > 0 && failed[0] == '{' {
			return emit(&Event{Kind: Failure, Err: ReadError(0, doc)})
		}
		return emit(&Event{Kind: Failure, Err: Malformed(r.api.CountMember)})
	}
	return emit(&Event{Kind: End, Count: n})
}

// countWriter writes that response for the client.
type countWriter struct{ api *API }

func (w *countWriter) ContentType() string { return "application/json" }

func (w *countWriter) Append(dst []byte, e *Event) []byte {
	switch e.Kind {
	case End:
		dst = append(dst, w.api.CountHead...)
		dst = append(append(append(dst, '"'), w.api.CountMember...), `":`...)
		return append(strconv.AppendInt(dst, e.Count, 10), '}')
	case Failure:
		return append(dst, e.Err.JSON()...)
	}
	return dst
}
