package embeddings

import (
	"bytes"
	"slices"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// reader reads a response, which is one document.
type reader struct {
	dialect.Emitter
	dialect.Whole
	read  func(r *reader, doc dialect.JSON)
	want  int    // vectors
	seen  []bool // the vectors that came
	usage llmprovider.Usage
}

// newReader returns what makes readers of an API.
func newReader(read func(*reader, dialect.JSON)) func(dialect.ResponseOptions) dialect.ResponseReader {
	return func(o dialect.ResponseOptions) dialect.ResponseReader {
		r := &reader{read: read, want: o.Inputs}
		r.usage.Known, r.usage.PromptTokens = o.InputTokens > 0, o.InputTokens
		return r
	}
}

// Close implements dialect.ResponseReader.
func (r *reader) Close(emit func(*dialect.Event) error) error {
	r.Emit = emit
	doc := r.Doc()
	if failed := jsonscan.Get(doc, "error"); len(failed) > 0 && failed[0] == '{' {
		r.Fail(dialect.ReadError(0, doc))
		return r.Err
	}
	r.Send(dialect.Event{Kind: dialect.Start, Model: jsonscan.Text(jsonscan.Get(doc, "model"))})
	r.read(r, doc)
	if len(r.seen) == 0 || r.want > 0 && len(r.seen) != r.want || slices.Contains(r.seen, false) {
		r.Fail(dialect.Malformed("number of embeddings"))
		return r.Err
	}
	r.Usage(&r.usage)
	r.End()
	return r.Err
}

// vector passes on a vector: an array of numbers.
func (r *reader) vector(index int, values dialect.JSON) {
	if len(values) == 0 || values[0] != '[' || index < 0 || index >= maxInputs || index < len(r.seen) && r.seen[index] {
		r.Fail(dialect.Malformed("embedding"))
		return
	}
	for len(r.seen) <= index {
		r.seen = append(r.seen, false)
	}
	r.seen[index] = true
	r.Send(dialect.Event{Kind: dialect.Vector, Choice: index, Text: values})
}

// count notes how many tokens the inputs have.
func (r *reader) count(value dialect.JSON) {
	if n, ok := dialect.Count(value); ok {
		r.usage.Known, r.usage.PromptTokens = true, n
	}
}

func readData(r *reader, doc dialect.JSON) {
	n := 0
	for item := range jsonscan.Elements(jsonscan.Get(doc, "data")) {
		index := n
		if v := jsonscan.Get(item, "index"); v != nil {
			index = dialect.Index(v)
		}
		r.vector(index, jsonscan.Get(item, "embedding"))
		n++
	}
	r.count(jsonscan.Get(jsonscan.Get(doc, "usage"), "prompt_tokens"))
}

func readGeminiVectors(r *reader, doc dialect.JSON) {
	n := 0
	for item := range jsonscan.Elements(dialect.GetCamel(doc, "embeddings")) {
		r.vector(n, dialect.GetCamel(item, "values"))
		n++
	}
	r.count(dialect.GetCamel(dialect.GetCamel(doc, "usageMetadata"), "promptTokenCount"))
}

func readContentVector(r *reader, doc dialect.JSON) {
	r.vector(0, dialect.GetCamel(dialect.GetCamel(doc, "embedding"), "values"))
	r.count(dialect.GetCamel(dialect.GetCamel(doc, "usageMetadata"), "promptTokenCount"))
}

func readPredictions(r *reader, doc dialect.JSON) {
	n, total, all := 0, int64(0), true
	for item := range jsonscan.Elements(jsonscan.Get(doc, "predictions")) {
		embedding := dialect.GetCamel(item, "embeddings")
		r.vector(n, dialect.GetCamel(embedding, "values"))
		tokens, ok := dialect.Count(wholeNumber(dialect.GetCamel(dialect.GetCamel(embedding, "statistics"), "tokenCount")))
		n, total, all = n+1, total+tokens, all && ok
	}
	if all {
		r.usage.Known, r.usage.PromptTokens = true, total
	}
}

// wholeNumber returns a number without a fraction of zeros, which Google's numbers of no
// type may have.
func wholeNumber(n dialect.JSON) dialect.JSON {
	if whole, fraction, ok := bytes.Cut(n, []byte(".")); ok && len(bytes.Trim(fraction, "0")) == 0 {
		return whole
	}
	return n
}

func readTitan(r *reader, doc dialect.JSON) {
	r.vector(0, jsonscan.Get(doc, "embedding"))
	r.count(jsonscan.Get(doc, "inputTextTokenCount"))
}

func readCohere(r *reader, doc dialect.JSON) {
	list := jsonscan.Get(doc, "embeddings")
	if len(list) > 0 && list[0] == '{' {
		list = jsonscan.Get(list, "float")
	}
	n := 0
	for vector := range jsonscan.Elements(list) {
		r.vector(n, vector)
		n++
	}
}
