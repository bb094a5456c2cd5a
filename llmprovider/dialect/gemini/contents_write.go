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
				return w.R.Refuse(dialect.CSystem, "its system instruction is text alone")
			}
			if n == 0 {
				w.Begin("systemInstruction")
				w.Out = append(w.Out, `{"parts":[`...)
			}
			w.Comma(n)
			n++
			w.text(p)
		}
	}
	if n > 0 {
		w.Out = append(w.Out, `]}`...)
	}
	return nil
}

func (w *requestWriter) text(p *dialect.Part) {
	w.Write(`{"text":`, p.Text, "")
	w.Out = append(w.Out, '}')
	w.DropCache(p.Cache)
}

// contents writes the conversation.
func (w *requestWriter) contents(turns []dialect.Turn) *llmprovider.Error {
	w.Begin("contents")
	return w.Merged(turns, "model", `","parts":[`, w.parts)
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
					w.R.Loss.Drop(dialect.CReasoning)
				}
				continue
			}
			if w.Out[len(w.Out)-1] != '[' {
				w.Out = append(w.Out, ',')
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
			w.DropCache(p.Cache)
			w.Out = append(w.Out, '}')
		}
	}
	if !state.Empty() { // of the turn's end
		if w.Out[len(w.Out)-1] != '[' {
			w.Out = append(w.Out, ',')
		}
		w.Write(`{"text":"","thoughtSignature":`, state.Value, `}`)
		n++
	}
	return n, nil
}

// signature writes the state of a part of Google's own. Of calls of other models, the
// first of a turn gets a placeholder, without which Gemini 3 refuses the turn.
func (w *requestWriter) signature(p *dialect.Part, c dialect.Carrier, calls int) {
	switch {
	case c.From(Vendor):
		w.Member("thoughtSignature", c.Value)
		return
	case !c.Empty():
		w.R.Loss.Drop(dialect.CSignature)
	}
	if p.Kind == dialect.ToolCall && calls == 1 && (w.Target.Profile.Reasoning == "" || w.Target.Profile.Reasoning == "level") {
		w.Member("thoughtSignature", dialect.JSON(noSignature))
	}
}

// part begins a part.
func (w *requestWriter) part(p *dialect.Part) *llmprovider.Error {
	switch p.Kind {
	case dialect.Text:
		w.Write(`{"text":`, p.Text, "")
	case dialect.Refusal:
		w.R.Loss.Approximate(dialect.CRefusal)
		w.Write(`{"text":`, p.Text, "")
	case dialect.Reasoning:
		w.Out = append(w.Out, `{"text":`...)
		if p.Thought.Text == nil {
			w.Out = append(w.Out, `""`...)
		} else {
			w.Out = append(w.Out, p.Thought.Text...)
		}
		w.Out = append(w.Out, `,"thought":true,"thoughtSignature":`...)
		w.Out = append(w.Out, p.Thought.Signature.Value...)
	case dialect.ToolCall:
		w.String(`{"functionCall":{"id":`, p.Call.ID)
		w.String(`,"name":`, p.Call.Name)
		w.Out = append(w.Out, `,"args":`...)
		w.Input(p.Call)
		w.Out = append(w.Out, '}')
	case dialect.ToolResult:
		return w.result(p.Result)
	default:
		w.Out = append(w.Out, '{')
		return w.media(p)
	}
	return nil
}

func (w *requestWriter) result(r *dialect.Result) *llmprovider.Error {
	if r.Name == "" {
		return w.R.Refuse(dialect.CToolResult, "a result belongs to a call earlier in the conversation, and this one to none")
	}
	w.String(`{"functionResponse":{"id":`, r.ID)
	w.String(`,"name":`, r.Name)
	w.Out = append(w.Out, `,"response":`...)
	var media []*dialect.Part
	if r.Object != nil {
		w.Out = append(w.Out, r.Object...)
	} else {
		member := `{"output":"`
		if r.IsError {
			member = `{"error":"`
		}
		w.Out = append(w.Out, member...)
		n := 0
		for i := range r.Parts {
			if r.Parts[i].Media != nil && r.Parts[i].Media.Text == nil {
				continue
			}
			if n++; n > 1 {
				w.Out = append(w.Out, `\n`...)
			}
			text := r.Parts[i].Text
			if text == nil && r.Parts[i].Media != nil {
				text = r.Parts[i].Media.Text
			}
			w.Out = append(w.Out, jsonscan.Inner(text)...)
		}
		w.Out = append(w.Out, `"}`...)
	}
	for i := range r.Parts {
		if r.Parts[i].Media != nil && r.Parts[i].Media.Text == nil {
			media = append(media, &r.Parts[i])
		}
	}
	if len(media) > 0 {
		w.Out = append(w.Out, `,"parts":[`...)
		for i, p := range media {
			w.Comma(i)
			w.Out = append(w.Out, '{')
			if err := w.media(p); err != nil {
				return err
			}
			w.Out = append(w.Out, '}')
		}
		w.Out = append(w.Out, ']')
	}
	w.Out = append(w.Out, '}')
	return nil
}

// media writes a medium: inside the request, or as a file that Google stores.
func (w *requestWriter) media(p *dialect.Part) *llmprovider.Error {
	m := p.Media
	w.Drop(dialect.CImageDetail, m.Detail)
	if m.Title != nil || m.Context != nil {
		w.R.Loss.Drop(dialect.CDocumentName)
	}
	if !isGoogleFile(m.URL) {
		content, wanted := w.Content(p)
		if wanted {
			return nil
		}
		m = content
	}
	uri := m.FileID
	if uri == nil && isGoogleFile(m.URL) {
		uri = m.URL
	}
	switch {
	case m.Text != nil:
		w.Member("text", m.Text)
	case m.Data != nil:
		w.String(`"inlineData":{"mimeType":`, m.Type)
		w.Write(`,"data":"`, m.Data, "")
		w.Out = append(w.Out, `"}`...)
	case uri != nil && isGoogleFile(uri):
		w.Out = append(w.Out, `"fileData":{`...)
		if m.Type != "" {
			w.Out = append(jsonscan.AppendString(append(w.Out, `"mimeType":`...), m.Type), ',')
		}
		w.Write(`"fileUri":`, uri, "")
		w.Out = append(w.Out, '}')
	case m.URL != nil:
		return w.R.Refuse(dialect.CImageURL, "it does not fetch URLs; send the content in base64")
	default:
		return w.NoFile(dialect.CFileID)
	}
	return nil
}

func isGoogleFile(uri dialect.JSON) bool {
	text := jsonscan.Text(uri)
	return strings.HasPrefix(text, "gs://") || strings.HasPrefix(text, "https://generativelanguage.googleapis.com/")
}
