package embeddings

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// writer collects the vectors of a response.
type writer struct {
	o       dialect.ResponseOptions
	model   string
	vectors [][]byte // arrays of numbers
	usage   llmprovider.Usage
	end     func(w *writer, dst []byte) []byte
}

func newOpenAIWriter(o dialect.ResponseOptions) dialect.ResponseWriter {
	o.Request = nil // its memory is not to be held
	return &writer{o: o, end: (*writer).openAI}
}

func newGeminiWriter(o dialect.ResponseOptions) dialect.ResponseWriter {
	o.Request = nil
	return &writer{o: o, end: (*writer).gemini}
}

// ContentType implements dialect.ResponseWriter.
func (w *writer) ContentType() string { return "application/json" }

// Append implements dialect.ResponseWriter.
func (w *writer) Append(dst []byte, e *dialect.Event) []byte {
	switch e.Kind {
	case dialect.Start:
		w.model = w.o.ModelOf(e)
	case dialect.Vector:
		for len(w.vectors) <= e.Choice {
			w.vectors = append(w.vectors, nil)
		}
		w.vectors[e.Choice] = append(w.vectors[e.Choice][:0], e.Text...)
	case dialect.UsageEvent:
		w.usage = *e.Usage
	case dialect.End:
		return w.end(w, dst)
	}
	return dst
}

func (w *writer) openAI(dst []byte) []byte {
	dst = append(dst, `{"object":"list","data":[`...)
	for i, vector := range w.vectors {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"object":"embedding","index":`...)
		dst = strconv.AppendInt(dst, int64(i), 10)
		dst = append(dst, `,"embedding":`...)
		if w.o.Base64 {
			dst = appendBase64(dst, vector)
		} else {
			dst = append(dst, vector...)
		}
		dst = append(dst, '}')
	}
	dst = append(dst, `],"model":`...)
	dst = jsonscan.AppendString(dst, w.model)
	if w.usage.Known {
		dst = append(dst, `,"usage":{"prompt_tokens":`...)
		dst = strconv.AppendInt(dst, w.usage.PromptTokens, 10)
		dst = append(dst, `,"total_tokens":`...)
		dst = append(strconv.AppendInt(dst, w.usage.PromptTokens, 10), '}')
	}
	return append(dst, '}')
}

// appendBase64 appends a vector as OpenAI's API encodes it: numbers of four bytes, the
// least significant first.
func appendBase64(dst, vector []byte) []byte {
	var raw []byte
	for v := range jsonscan.Elements(vector) {
		n, _ := strconv.ParseFloat(string(v), 32)
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(n)))
	}
	dst = append(dst, '"')
	return append(base64.StdEncoding.AppendEncode(dst, raw), '"')
}

func (w *writer) gemini(dst []byte) []byte {
	if !w.o.Batch {
		dst = append(dst, `{"embedding":{"values":`...)
		return append(append(dst, w.vectors[0]...), `}}`...)
	}
	dst = append(dst, `{"embeddings":[`...)
	for i, vector := range w.vectors {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, `{"values":`...), vector...), '}')
	}
	return append(dst, `]}`...)
}
