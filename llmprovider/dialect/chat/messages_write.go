package chat

import (
	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

func (w *requestWriter) messages() *llmprovider.Error {
	w.out = append(w.out, `,"messages":[`...)
	start := len(w.out)
	for i := range w.r.Turns {
		t := &w.r.Turns[i]
		var err *llmprovider.Error
		switch t.Role {
		case dialect.User:
			err = w.userTurn(t, start)
		case dialect.Assistant:
			if i == len(w.r.Turns)-1 && w.target.Profile.NoPrefill {
				return w.r.Refuse(dialect.CPrefill, "the conversation must not end with the model's own turn")
			}
			err = w.assistantTurn(t, start)
		default:
			err = w.systemTurn(t, start)
		}
		if err != nil {
			return err
		}
	}
	w.out = append(w.out, ']')
	return nil
}

// begin begins a message.
func (w *requestWriter) begin(role string, start int) {
	if len(w.out) > start {
		w.out = append(w.out, ',')
	}
	w.out = append(w.out, `{"role":"`...)
	w.out = append(w.out, role...)
	w.out = append(w.out, '"')
}

func (w *requestWriter) systemTurn(t *dialect.Turn, start int) *llmprovider.Error {
	role := "system"
	if t.Role == dialect.Developer && !w.target.Profile.NoDeveloper {
		role = "developer"
	}
	w.begin(role, start)
	w.member("name", t.Name)
	w.out = append(w.out, `,"content":`...)
	if err := w.content(t.Parts); err != nil {
		return err
	}
	w.out = append(w.out, '}')
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
	w.member("name", t.Name)
	w.out = append(w.out, `,"content":`...)
	if err := w.content(rest); err != nil {
		return err
	}
	w.out = append(w.out, '}')
	return nil
}

// result writes a tool message, whose content is text.
func (w *requestWriter) result(p *dialect.Part, start int) {
	r := p.Result
	w.begin("tool", start)
	w.out = append(w.out, `,"tool_call_id":`...)
	w.out = jsonscan.AppendString(w.out, w.toolID(r.ID))
	w.out = append(w.out, `,"content":"`...)
	if r.IsError {
		w.out = append(w.out, "Error: "...)
		w.r.Loss.Approximate(dialect.CToolError)
	}
	if r.Object != nil {
		w.out = jsonscan.AppendEscaped(w.out, r.Object)
	}
	first := true
	for i := range r.Parts {
		text := jsonscan.Inner(r.Parts[i].Text)
		if r.Parts[i].Media != nil {
			text = []byte("[attached to the next message]")
			w.r.Loss.Approximate(dialect.CToolResult)
		}
		if !first {
			w.out = append(w.out, `\n`...)
		}
		first = false
		w.out = append(w.out, text...)
		if r.Parts[i].Cache != nil {
			w.r.Loss.Drop(dialect.CCache)
		}
	}
	w.out = append(w.out, '"')
	w.cache(p.Cache)
	w.out = append(w.out, '}')
}

func (w *requestWriter) assistantTurn(t *dialect.Turn, start int) *llmprovider.Error {
	w.begin("assistant", start)
	w.member("name", t.Name)
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
	w.reasoning(t)
	w.out = append(w.out, `,"content":`...)
	if len(content) == 0 {
		w.out = append(w.out, "null"...)
	} else if err := w.content(content); err != nil {
		return err
	}
	if calls > 0 {
		w.out = append(w.out, `,"tool_calls":[`...)
		n := 0
		for i := range t.Parts {
			if t.Parts[i].Kind == dialect.ToolCall {
				w.out = comma(w.out, n)
				n++
				w.call(&t.Parts[i])
			}
		}
		w.out = append(w.out, ']')
	}
	w.out = append(w.out, '}')
	return nil
}

// reasoning writes earlier reasoning into the member that the vendor reads it from.
// Signatures and encrypted state have no place in this API.
func (w *requestWriter) reasoning(t *dialect.Turn) {
	p := w.target.Profile
	var text []byte
	for i := range t.Parts {
		thought := t.Parts[i].Thought
		if thought == nil {
			continue
		}
		if p.ReasoningName == "" || !p.ReplayReasoning {
			w.r.Loss.Drop(dialect.CReasoning)
			continue
		}
		if !thought.Data.Empty() || !thought.Signature.Empty() {
			w.r.Loss.Drop(dialect.CSignature)
		}
		text = append(text, jsonscan.Inner(thought.Text)...)
	}
	if len(text) > 0 || p.ReplayReasoning && p.ReasoningName != "" && hasCall(t) {
		w.out = append(w.out, `,"`+p.ReasoningName+`":"`...)
		w.out = append(w.out, text...)
		w.out = append(w.out, '"')
	}
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
	w.out = append(w.out, `{"id":`...)
	w.out = jsonscan.AppendString(w.out, w.toolID(p.Call.ID))
	if p.Call.Custom {
		w.out = append(w.out, `,"type":"custom","custom":{"name":`...)
		w.out = jsonscan.AppendString(w.out, p.Call.Name)
		w.member("input", p.Call.Arguments.Text)
	} else {
		w.out = append(w.out, `,"type":"function","function":{"name":`...)
		w.out = jsonscan.AppendString(w.out, p.Call.Name)
		w.out = append(w.out, `,"arguments":`...)
		w.out = p.Call.Arguments.AppendText(w.out)
	}
	w.out = append(w.out, '}')
	switch {
	case p.Signature.From("google") && w.target.Vendor == "google":
		w.out = append(w.out, `,"extra_content":{"google":{"thought_signature":`...)
		w.out = append(w.out, p.Signature.Value...)
		w.out = append(w.out, `}}`...)
	case !p.Signature.Empty():
		w.r.Loss.Drop(dialect.CSignature)
	}
	if p.Cache != nil {
		w.r.Loss.Drop(dialect.CCache)
	}
	w.out = append(w.out, '}')
}

// content writes what a message says: a string where text alone says it, else parts.
func (w *requestWriter) content(parts []dialect.Part) *llmprovider.Error {
	if len(parts) == 1 && parts[0].Kind == dialect.Text && (parts[0].Cache == nil || !w.target.Profile.CacheControl) {
		if parts[0].Cache != nil {
			w.r.Loss.Drop(dialect.CCache)
		}
		w.out = append(w.out, parts[0].Text...)
		return nil
	}
	w.out = append(w.out, '[')
	for i := range parts {
		w.out = comma(w.out, i)
		if err := w.part(&parts[i]); err != nil {
			return err
		}
	}
	w.out = append(w.out, ']')
	return nil
}

func (w *requestWriter) part(p *dialect.Part) *llmprovider.Error {
	switch p.Kind {
	case dialect.Text:
		w.out = append(w.out, `{"type":"text"`...)
		w.member("text", p.Text)
	case dialect.Refusal:
		w.out = append(w.out, `{"type":"refusal"`...)
		w.member("refusal", p.Text)
	case dialect.Image:
		w.out = append(w.out, `{"type":"image_url","image_url":{"url":`...)
		if err := w.url(p.Media, dialect.CImage); err != nil {
			return err
		}
		w.member("detail", p.Media.Detail)
		w.out = append(w.out, '}')
	case dialect.Video:
		w.out = append(w.out, `{"type":"video_url","video_url":{"url":`...)
		if err := w.url(p.Media, dialect.CVideo); err != nil {
			return err
		}
		w.out = append(w.out, '}')
	case dialect.Audio:
		format, ok := audioFormats[p.Media.Type]
		if !ok || p.Media.Data == nil {
			return w.r.Refuse(dialect.CAudio, "it takes sound as wav or mp3 inside the request only")
		}
		w.out = append(w.out, `{"type":"input_audio","input_audio":{"format":"`+format+`","data":"`...)
		w.out = append(w.out, p.Media.Data...)
		w.out = append(w.out, `"}`...)
	case dialect.Document:
		if err := w.document(p.Media); err != nil {
			return err
		}
	default:
		return w.r.Refuse(dialect.CText, "a message of this role cannot have a part of this kind")
	}
	w.cache(p.Cache)
	w.out = append(w.out, '}')
	return nil
}

var audioFormats = map[string]string{
	"audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav", "audio/mp3": "mp3", "audio/mpeg": "mp3",
}

// url writes a medium as the URL of its content, or as a data URL.
func (w *requestWriter) url(m *dialect.Media, c dialect.Concept) *llmprovider.Error {
	switch {
	case m.URL != nil:
		w.out = append(w.out, m.URL...)
	case m.Data != nil:
		w.out = append(w.out, `"data:`...)
		w.out = jsonscan.AppendEscaped(w.out, []byte(m.Type))
		w.out = append(w.out, ";base64,"...)
		w.out = append(w.out, m.Data...)
		w.out = append(w.out, '"')
	default:
		return w.r.Refuse(c, "it cannot reach a file that another provider stores")
	}
	return nil
}

func (w *requestWriter) document(m *dialect.Media) *llmprovider.Error {
	if m.Title != nil || m.Context != nil {
		w.r.Loss.Drop(dialect.CDocumentName)
	}
	switch {
	case m.Text != nil:
		w.r.Loss.Approximate(dialect.CDocument)
		w.out = append(w.out, `{"type":"text"`...)
		w.member("text", m.Text)
		return nil
	case m.Data == nil:
		return w.r.Refuse(dialect.CDocument, "it takes documents inside the request only; send the content in base64")
	}
	w.out = append(w.out, `{"type":"file","file":{"file_data":`...)
	if err := w.url(m, dialect.CDocument); err != nil {
		return err
	}
	w.out = append(w.out, `,"filename":`...)
	switch {
	case m.Name != nil:
		w.out = append(w.out, m.Name...)
	case m.Title != nil:
		w.out = append(w.out, m.Title...)
	default:
		w.out = append(w.out, `"document"`...)
	}
	w.out = append(w.out, '}')
	return nil
}
