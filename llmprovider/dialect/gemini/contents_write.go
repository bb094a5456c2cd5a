package gemini

import (
	"strings"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// noSignature is what Gemini 3 takes in place of the signature of a call that another
// model made (https://ai.google.dev/gemini-api/docs/thought-signatures).
const noSignature = `"skip_thought_signature_validator"`

// system writes the system messages that the conversation begins with.
func (w *requestWriter) system(turns []dialect.Turn) *llmprovider.Error {
	n := 0
	for i := range turns {
		for j := range turns[i].Parts {
			p := &turns[i].Parts[j]
			if p.Kind != dialect.Text {
				return w.r.Refuse(dialect.CSystem, "its system instruction is text alone")
			}
			if n == 0 {
				w.begin("systemInstruction")
				w.out = append(w.out, `{"parts":[`...)
			}
			w.out = comma(w.out, n)
			n++
			w.text(p)
		}
	}
	if n > 0 {
		w.out = append(w.out, `]}`...)
	}
	return nil
}

func (w *requestWriter) text(p *dialect.Part) {
	w.out = append(append(w.out, `{"text":`...), p.Text...)
	w.out = append(w.out, '}')
	if p.Cache != nil {
		w.r.Loss.Drop(dialect.CCache)
	}
}

// contents writes the conversation. Turns of one role that follow each other are one.
func (w *requestWriter) contents(turns []dialect.Turn) *llmprovider.Error {
	w.begin("contents")
	w.out = append(w.out, '[')
	last := ""
	for i := range turns {
		t := &turns[i]
		role := "user"
		switch {
		case t.Role == dialect.Assistant:
			role = "model"
		case isSystem(t): // where it stands: moving it would change the cached prefix at every turn
			w.r.Loss.Approximate(dialect.CSystem)
		}
		if t.Name != nil {
			w.r.Loss.Drop(dialect.CTurnName)
		}
		mark := len(w.out)
		if role == last {
			w.out = w.out[:len(w.out)-len(`]}`)]
		} else {
			w.out = comma(w.out, len(last))
			w.out = append(w.out, `{"role":"`+role+`","parts":[`...)
		}
		written, err := w.parts(t.Parts)
		if err != nil {
			return err
		}
		if written == 0 && role != last {
			w.out = w.out[:mark]
			continue
		}
		last = role
		w.out = append(w.out, `]}`...)
	}
	w.out = append(w.out, ']')
	return nil
}

// parts writes a turn's parts, results of functions first, and returns how many. The
// state that clients of other APIs keep beside a call goes back into it.
func (w *requestWriter) parts(parts []dialect.Part) (int, *llmprovider.Error) {
	n := 0
	var state dialect.Carrier // for the part that follows
	calls := 0
	for pass := range 2 {
		for i := range parts {
			p := &parts[i]
			if (p.Kind == dialect.ToolResult) != (pass == 0) {
				continue
			}
			if p.Kind == dialect.Reasoning && p.Thought.Data.From(Vendor) {
				state = p.Thought.Data
				continue
			}
			if p.Kind == dialect.Text && len(p.Text) <= 2 && p.Signature.Empty() || p.Kind == dialect.Reasoning && !p.Thought.Signature.From(Vendor) {
				if p.Kind == dialect.Reasoning {
					w.r.Loss.Drop(dialect.CReasoning)
				}
				continue
			}
			if w.out[len(w.out)-1] != '[' {
				w.out = append(w.out, ',')
			}
			if err := w.part(p); err != nil {
				return n, err
			}
			n++
			signature := p.Signature
			if signature.Empty() {
				signature = state
			}
			state = dialect.Carrier{}
			if p.Kind == dialect.ToolCall {
				calls++
			}
			w.signature(p, signature, calls)
			if p.Cache != nil {
				w.r.Loss.Drop(dialect.CCache)
			}
			w.out = append(w.out, '}')
		}
	}
	return n, nil
}

// signature writes the state of a part of Google's own. Of calls of other models, the
// first of a turn gets a placeholder, without which Gemini 3 refuses the turn.
func (w *requestWriter) signature(p *dialect.Part, c dialect.Carrier, calls int) {
	switch {
	case c.From(Vendor):
		w.member("thoughtSignature", c.Value)
		return
	case !c.Empty():
		w.r.Loss.Drop(dialect.CSignature)
	}
	if p.Kind == dialect.ToolCall && calls == 1 && (w.target.Profile.Reasoning == "" || w.target.Profile.Reasoning == "level") {
		w.member("thoughtSignature", dialect.JSON(noSignature))
	}
}

// part begins a part.
func (w *requestWriter) part(p *dialect.Part) *llmprovider.Error {
	switch p.Kind {
	case dialect.Text:
		w.out = append(append(w.out, `{"text":`...), p.Text...)
	case dialect.Refusal:
		w.r.Loss.Approximate(dialect.CRefusal)
		w.out = append(append(w.out, `{"text":`...), p.Text...)
	case dialect.Reasoning:
		w.out = append(w.out, `{"text":`...)
		if p.Thought.Text == nil {
			w.out = append(w.out, `""`...)
		} else {
			w.out = append(w.out, p.Thought.Text...)
		}
		w.out = append(w.out, `,"thought":true,"thoughtSignature":`...)
		w.out = append(w.out, p.Thought.Signature.Value...)
	case dialect.ToolCall:
		w.out = append(w.out, `{"functionCall":{"id":`...)
		w.out = jsonscan.AppendString(w.out, p.Call.ID)
		w.out = append(w.out, `,"name":`...)
		w.out = jsonscan.AppendString(w.out, p.Call.Name)
		w.out = append(w.out, `,"args":`...)
		if p.Call.Custom {
			w.out = append(append(w.out, `{"input":`...), p.Call.Arguments.Text...)
			w.out = append(w.out, '}')
		} else {
			var exact bool
			if w.out, exact = p.Call.Arguments.AppendObject(w.out); !exact {
				w.r.Loss.Approximate(dialect.CArguments)
			}
		}
		w.out = append(w.out, '}')
	case dialect.ToolResult:
		return w.result(p.Result)
	default:
		w.out = append(w.out, '{')
		return w.media(p)
	}
	return nil
}

func (w *requestWriter) result(r *dialect.Result) *llmprovider.Error {
	if r.Name == "" {
		return w.r.Refuse(dialect.CToolResult, "a result belongs to a call earlier in the conversation, and this one to none")
	}
	w.out = append(w.out, `{"functionResponse":{"id":`...)
	w.out = jsonscan.AppendString(w.out, r.ID)
	w.out = append(w.out, `,"name":`...)
	w.out = jsonscan.AppendString(w.out, r.Name)
	w.out = append(w.out, `,"response":`...)
	var media []*dialect.Part
	if r.Object != nil {
		w.out = append(w.out, r.Object...)
	} else {
		member := `{"output":"`
		if r.IsError {
			member = `{"error":"`
		}
		w.out = append(w.out, member...)
		n := 0
		for i := range r.Parts {
			if r.Parts[i].Media != nil && r.Parts[i].Media.Text == nil {
				continue
			}
			if n++; n > 1 {
				w.out = append(w.out, `\n`...)
			}
			text := r.Parts[i].Text
			if text == nil && r.Parts[i].Media != nil {
				text = r.Parts[i].Media.Text
			}
			w.out = append(w.out, jsonscan.Inner(text)...)
		}
		w.out = append(w.out, `"}`...)
	}
	for i := range r.Parts {
		if r.Parts[i].Media != nil && r.Parts[i].Media.Text == nil {
			media = append(media, &r.Parts[i])
		}
	}
	if len(media) > 0 {
		w.out = append(w.out, `,"parts":[`...)
		for i, p := range media {
			w.out = comma(w.out, i)
			w.out = append(w.out, '{')
			if err := w.media(p); err != nil {
				return err
			}
			w.out = append(w.out, '}')
		}
		w.out = append(w.out, ']')
	}
	w.out = append(w.out, '}')
	return nil
}

// media writes a medium: inside the request, or as a file that Google stores.
func (w *requestWriter) media(p *dialect.Part) *llmprovider.Error {
	m := p.Media
	w.drop(dialect.CImageDetail, m.Detail)
	if m.Title != nil || m.Context != nil {
		w.r.Loss.Drop(dialect.CDocumentName)
	}
	uri := m.FileID
	if uri == nil && isGoogleFile(m.URL) {
		uri = m.URL
	}
	switch {
	case m.Text != nil:
		w.member("text", m.Text)
	case m.Data != nil:
		w.out = append(w.out, `"inlineData":{"mimeType":`...)
		w.out = jsonscan.AppendString(w.out, m.Type)
		w.out = append(append(w.out, `,"data":"`...), m.Data...)
		w.out = append(w.out, `"}`...)
	case uri != nil && isGoogleFile(uri):
		w.out = append(w.out, `"fileData":{`...)
		if m.Type != "" {
			w.out = append(jsonscan.AppendString(append(w.out, `"mimeType":`...), m.Type), ',')
		}
		w.out = append(append(w.out, `"fileUri":`...), uri...)
		w.out = append(w.out, '}')
	case m.URL != nil:
		return w.r.Refuse(dialect.CImageURL, "it does not fetch URLs; send the content in base64")
	default:
		return w.r.Refuse(dialect.CFileID, "it cannot reach a file that another provider stores")
	}
	return nil
}

func isGoogleFile(uri dialect.JSON) bool {
	text := jsonscan.Text(uri)
	return strings.HasPrefix(text, "gs://") || strings.HasPrefix(text, "https://generativelanguage.googleapis.com/")
}
