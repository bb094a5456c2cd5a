package chat

import (
	"strings"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

func (w *requestWriter) messages() *llmprovider.Error {
	w.Out = append(w.Out, `,"messages":[`...)
	start := len(w.Out)
	for i := range w.R.Turns {
		if w.GivenUp() {
			return nil
		}
		t := &w.R.Turns[i]
		var err *llmprovider.Error
		switch t.Role {
		case dialect.User:
			err = w.userTurn(t, start)
		case dialect.Assistant:
			if i == len(w.R.Turns)-1 && w.Target.Profile.NoPrefill {
				return w.R.Refuse(dialect.CPrefill, "the conversation must not end with the model's own turn")
			}
			err = w.assistantTurn(t, start)
		default:
			err = w.systemTurn(t, start)
		}
		if err != nil {
			return err
		}
	}
	w.Out = append(w.Out, ']')
	return nil
}

// begin begins a message.
func (w *requestWriter) begin(role string, start int) {
	if len(w.Out) > start {
		w.Out = append(w.Out, ',')
	}
	w.Out = append(w.Out, `{"role":"`...)
	w.Out = append(w.Out, role...)
	w.Out = append(w.Out, '"')
}

func (w *requestWriter) systemTurn(t *dialect.Turn, start int) *llmprovider.Error {
	role := "system"
	if t.Role == dialect.Developer && !w.Target.Profile.NoDeveloper {
		role = "developer"
	}
	w.begin(role, start)
	w.Member("name", t.Name)
	w.Out = append(w.Out, `,"content":`...)
	if err := w.content(t.Parts); err != nil {
		return err
	}
	w.Out = append(w.Out, '}')
	return nil
}

// userTurn writes a turn as the messages it takes: one for each tool result, and
// one for the rest. Media in results goes with the rest, since results have text
// alone.
func (w *requestWriter) userTurn(t *dialect.Turn, start int) *llmprovider.Error {
	var rest []dialect.Part
	results := 0
	for i := range t.Parts {
		p := &t.Parts[i]
		if p.Kind != dialect.ToolResult {
			continue
		}
		results++
		w.result(p, start)
		for _, inner := range p.Result.Parts {
			if inner.Media != nil {
				rest = append(rest, inner)
			}
		}
	}
	if results == 0 {
		rest = t.Parts
	} else {
		for _, p := range t.Parts {
			if p.Kind != dialect.ToolResult {
				rest = append(rest, p)
			}
		}
		if len(rest) == 0 {
			return nil
		}
	}
	w.begin("user", start)
	w.Member("name", t.Name)
	w.Out = append(w.Out, `,"content":`...)
	if err := w.content(rest); err != nil {
		return err
	}
	w.Out = append(w.Out, '}')
	return nil
}

// result writes a tool message, whose content is text.
func (w *requestWriter) result(p *dialect.Part, start int) {
	r := p.Result
	w.begin("tool", start)
	w.String(`,"tool_call_id":`, w.toolID(r.ID))
	w.Out = append(w.Out, `,"content":"`...)
	if r.IsError {
		w.Out = append(w.Out, "Error: "...)
		w.R.Loss.Approximate(dialect.CToolError)
	}
	if r.Object != nil {
		w.Out = jsonscan.AppendEscaped(w.Out, r.Object)
	}
	first := true
	for i := range r.Parts {
		text := jsonscan.Inner(r.Parts[i].Text)
		if r.Parts[i].Media != nil {
			text = []byte("[attached to the next message]")
			w.R.Loss.Approximate(dialect.CToolResult)
		}
		if !first {
			w.Out = append(w.Out, `\n`...)
		}
		first = false
		w.Out = append(w.Out, text...)
		w.DropCache(r.Parts[i].Cache)
	}
	w.Out = append(w.Out, '"')
	w.cache(p.Cache)
	w.Out = append(w.Out, '}')
}

// assistantTurn writes a turn of the model. One that has nothing left, such as reasoning
// that the provider does not take back, makes no message: it would be refused.
func (w *requestWriter) assistantTurn(t *dialect.Turn, start int) *llmprovider.Error {
	mark := len(w.Out)
	w.begin("assistant", start)
	w.Member("name", t.Name)
	var content []dialect.Part
	calls := 0
	for _, p := range t.Parts {
		switch p.Kind {
		case dialect.ToolCall:
			calls++
		case dialect.Reasoning:
		default:
			content = append(content, p)
		}
	}
	reasoned := w.reasoning(t)
	w.Out = append(w.Out, `,"content":`...)
	switch {
	case len(content) > 0:
		if err := w.content(content); err != nil {
			return err
		}
	case calls > 0:
		w.Out = append(w.Out, "null"...)
	case reasoned:
		w.Out = append(w.Out, `""`...)
	default:
		w.Out = w.Out[:mark]
		return nil
	}
	if calls > 0 {
		w.Out = append(w.Out, `,"tool_calls":[`...)
		n := 0
		for i := range t.Parts {
			if t.Parts[i].Kind == dialect.ToolCall {
				w.Comma(n)
				n++
				w.call(&t.Parts[i])
			}
		}
		w.Out = append(w.Out, ']')
	}
	w.Out = append(w.Out, '}')
	return nil
}

// reasoning writes earlier reasoning into the member that the vendor reads it from.
// Signatures and encrypted state have no place in this API. It reports whether there is any.
func (w *requestWriter) reasoning(t *dialect.Turn) bool {
	p := w.Target.Profile
	var text []byte
	for i := range t.Parts {
		thought := t.Parts[i].Thought
		if thought == nil {
			continue
		}
		if p.ReasoningName == "" || !p.ReplayReasoning {
			w.R.Loss.Drop(dialect.CReasoning)
			continue
		}
		if !thought.Data.Empty() || !thought.Signature.Empty() {
			w.R.Loss.Drop(dialect.CSignature)
		}
		text = append(text, jsonscan.Inner(thought.Text)...)
	}
	wanted := p.ReplayReasoning && p.ReasoningName != "" && hasCall(t)
	if len(text) == 0 && !wanted {
		return false
	}
	w.Out = append(w.Out, `,"`+p.ReasoningName+`":"`...)
	w.Out = append(w.Out, text...)
	w.Out = append(w.Out, '"')
	return true
}

func hasCall(t *dialect.Turn) bool {
	for i := range t.Parts {
		if t.Parts[i].Kind == dialect.ToolCall {
			return true
		}
	}
	return false
}

func (w *requestWriter) call(p *dialect.Part) {
	w.String(`{"id":`, w.toolID(p.Call.ID))
	switch {
	case p.Call.Custom && w.Target.Profile.NoCustomTools:
		w.String(`,"type":"function","function":{"name":`, p.Call.Name)
		w.Out = append(w.Out, `,"arguments":"{\"input\":`...)
		w.Out = jsonscan.AppendEscaped(w.Out, p.Call.FreeText())
		w.Out = append(w.Out, `}"`...)
	case p.Call.Custom:
		w.String(`,"type":"custom","custom":{"name":`, p.Call.Name)
		w.Member("input", p.Call.FreeText())
	default:
		w.String(`,"type":"function","function":{"name":`, p.Call.Name)
		w.Out = append(w.Out, `,"arguments":`...)
		w.Out = p.Call.Arguments.AppendText(w.Out)
	}
	w.Out = append(w.Out, '}')
	switch {
	case p.Signature.From(vendorGoogle) && w.Target.Vendor == vendorGoogle:
		w.Out = append(w.Out, `,"extra_content":{"google":{"thought_signature":`...)
		w.Out = append(w.Out, p.Signature.Value...)
		w.Out = append(w.Out, `}}`...)
	case !p.Signature.Empty():
		w.R.Loss.Drop(dialect.CSignature)
	}
	w.DropCache(p.Cache)
	w.Out = append(w.Out, '}')
}

// content writes what a message says: a string where text alone says it, else parts.
func (w *requestWriter) content(parts []dialect.Part) *llmprovider.Error {
	if len(parts) == 1 && parts[0].Kind == dialect.Text && (parts[0].Cache == nil || !w.Target.Profile.CacheControl) {
		w.DropCache(parts[0].Cache)
		w.Out = append(w.Out, parts[0].Text...)
		return nil
	}
	w.Out = append(w.Out, '[')
	for i := range parts {
		w.Comma(i)
		if err := w.part(&parts[i]); err != nil {
			return err
		}
	}
	w.Out = append(w.Out, ']')
	return nil
}

func (w *requestWriter) part(p *dialect.Part) *llmprovider.Error {
	switch p.Kind {
	case dialect.Text:
		w.Out = append(w.Out, `{"type":"text"`...)
		w.Member("text", p.Text)
	case dialect.Refusal:
		w.Out = append(w.Out, `{"type":"refusal"`...)
		w.Member("refusal", p.Text)
	case dialect.Image:
		if err := w.image(p); err != nil {
			return err
		}
	case dialect.Video:
		w.Out = append(w.Out, `{"type":"video_url","video_url":{"url":`...)
		if err := w.DataURL(p.Media, dialect.CVideo); err != nil {
			return err
		}
		w.Out = append(w.Out, '}')
	case dialect.Audio:
		format, ok := audioFormats[p.Media.Type]
		if !ok || p.Media.Data == nil {
			return w.R.Refuse(dialect.CAudio, "it takes sound as wav or mp3 inside the request only")
		}
		w.Out = append(w.Out, `{"type":"input_audio","input_audio":{"format":"`+format+`","data":"`...)
		w.Out = append(w.Out, p.Media.Data...)
		w.Out = append(w.Out, `"}`...)
	case dialect.Document:
		if err := w.document(p.Media); err != nil {
			return err
		}
	default:
		return w.R.Refuse(dialect.CText, "a message of this role cannot have a part of this kind")
	}
	w.cache(p.Cache)
	w.Out = append(w.Out, '}')
	return nil
}

// image writes an image. Where the vendor takes no URLs, those of Amazon S3 alone are sent.
func (w *requestWriter) image(p *dialect.Part) *llmprovider.Error {
	m := p.Media
	if w.Target.Profile.NoChatURLs && !strings.HasPrefix(jsonscan.Text(m.URL), "s3://") {
		content, wanted, err := w.Inline(p)
		if wanted || err != nil {
			return err
		}
		m = content
	}
	w.Out = append(w.Out, `{"type":"image_url","image_url":{"url":`...)
	if err := w.DataURL(m, dialect.CImage); err != nil {
		return err
	}
	w.Member("detail", m.Detail)
	w.Out = append(w.Out, '}')
	return nil
}

var audioFormats = map[string]string{
	"audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav", "audio/mp3": "mp3", "audio/mpeg": "mp3",
}

func (w *requestWriter) document(m *dialect.Media) *llmprovider.Error {
	if m.Title != nil || m.Context != nil {
		w.R.Loss.Drop(dialect.CDocumentName)
	}
	switch {
	case m.Text != nil:
		w.R.Loss.Approximate(dialect.CDocument)
		w.Out = append(w.Out, `{"type":"text"`...)
		w.Member("text", m.Text)
		return nil
	case m.Data == nil:
		return w.R.Refuse(dialect.CDocument, "it takes documents inside the request only; send the content in base64")
	}
	w.Out = append(w.Out, `{"type":"file","file":{"file_data":`...)
	if err := w.DataURL(m, dialect.CDocument); err != nil {
		return err
	}
	w.Out = append(w.Out, `,"filename":`...)
	switch {
	case m.Name != nil:
		w.Out = append(w.Out, m.Name...)
	case m.Title != nil:
		w.Out = append(w.Out, m.Title...)
	default:
		w.Out = append(w.Out, `"document"`...)
	}
	w.Out = append(w.Out, '}')
	return nil
}
