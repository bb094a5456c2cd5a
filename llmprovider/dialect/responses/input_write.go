package responses

import (
	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

func (w *requestWriter) input() *llmprovider.Error {
	w.out = append(w.out, `,"input":[`...)
	start := len(w.out)
	for i := range w.r.Turns {
		t := &w.r.Turns[i]
		if t.Name != nil {
			w.r.Loss.Drop(dialect.CTurnName)
		}
		var err *llmprovider.Error
		switch t.Role {
		case dialect.System:
			err = w.message("system", t.Parts, start)
		case dialect.Developer:
			err = w.message("developer", t.Parts, start)
		case dialect.User:
			err = w.userTurn(t.Parts, start)
		case dialect.Assistant:
			err = w.assistantTurn(t.Parts, start)
		}
		if err != nil {
			return err
		}
	}
	w.out = append(w.out, ']')
	return nil
}

// begin begins an item.
func (w *requestWriter) begin(start int, text string) {
	w.out = comma(w.out, len(w.out)-start)
	w.out = append(w.out, text...)
}

func (w *requestWriter) message(role string, parts []dialect.Part, start int) *llmprovider.Error {
	if len(parts) == 0 {
		return nil
	}
	w.begin(start, `{"type":"message","role":"`+role+`","content":[`)
	if err := w.parts(parts, role == "assistant"); err != nil {
		return err
	}
	w.out = append(w.out, `]}`...)
	return nil
}

// userTurn writes the results of tools, then what else the user says.
func (w *requestWriter) userTurn(parts []dialect.Part, start int) *llmprovider.Error {
	results := 0
	for i := range parts {
		if parts[i].Kind == dialect.ToolResult {
			results++
			if err := w.output(parts[i].Result, start); err != nil {
				return err
			}
		}
	}
	if results == 0 {
		return w.message("user", parts, start)
	}
	var rest []dialect.Part
	for i := range parts {
		if parts[i].Kind != dialect.ToolResult {
			rest = append(rest, parts[i])
		}
	}
	return w.message("user", rest, start)
}

func (w *requestWriter) output(r *dialect.Result, start int) *llmprovider.Error {
	kind := "function_call_output"
	if r.Custom {
		kind = "custom_tool_call_output"
	}
	w.begin(start, `{"type":"`+kind+`","call_id":`)
	w.out = jsonscan.AppendString(w.out, r.ID)
	w.out = append(w.out, `,"output":`...)
	prefix := ""
	if r.IsError {
		prefix = "Error: "
		w.r.Loss.Approximate(dialect.CToolError)
	}
	if r.Object == nil && len(r.Parts) > 1 || len(r.Parts) == 1 && r.Parts[0].Kind != dialect.Text {
		w.out = append(w.out, '[')
		if prefix != "" {
			w.out = append(w.out, `{"type":"input_text","text":"Error: "},`...)
		}
		if err := w.parts(r.Parts, false); err != nil {
			return err
		}
		w.out = append(w.out, `]}`...)
		return nil
	}
	w.out = append(w.out, '"')
	w.out = append(w.out, prefix...)
	switch {
	case r.Object != nil:
		w.out = jsonscan.AppendEscaped(w.out, r.Object)
	case len(r.Parts) == 1:
		w.out = append(w.out, jsonscan.Inner(r.Parts[0].Text)...)
	}
	w.out = append(w.out, `"}`...)
	return nil
}

// assistantTurn writes the model's turn as items, in their order.
func (w *requestWriter) assistantTurn(parts []dialect.Part, start int) *llmprovider.Error {
	for i := 0; i < len(parts); {
		p := &parts[i]
		switch p.Kind {
		case dialect.Reasoning:
			w.thought(p.Thought, start)
		case dialect.ToolCall:
			w.call(p, start)
		default:
			end := i + 1
			for end < len(parts) && parts[end].Kind != dialect.Reasoning && parts[end].Kind != dialect.ToolCall {
				end++
			}
			if err := w.message("assistant", parts[i:end], start); err != nil {
				return err
			}
			i = end
			continue
		}
		i++
	}
	return nil
}

// thought writes reasoning of OpenAI's own. That of others has no state that the API
// takes.
func (w *requestWriter) thought(t *dialect.Thought, start int) {
	state := t.Data
	if state.Empty() {
		state = t.Signature
	}
	if !state.From(Vendor) {
		w.r.Loss.Drop(dialect.CReasoning)
		return
	}
	w.begin(start, `{"type":"reasoning"`)
	w.member("id", t.ID)
	w.out = append(w.out, `,"summary":[`...)
	if len(t.Text) > 2 {
		w.out = append(append(w.out, `{"type":"summary_text","text":`...), t.Text...)
		w.out = append(w.out, '}')
	}
	w.out = append(w.out, ']')
	w.member("encrypted_content", state.Value)
	w.out = append(w.out, '}')
}

func (w *requestWriter) call(p *dialect.Part, start int) {
	kind, text := "function_call", "arguments"
	if p.Call.Custom {
		kind, text = "custom_tool_call", "input"
	}
	w.begin(start, `{"type":"`+kind+`","call_id":`)
	w.out = jsonscan.AppendString(w.out, p.Call.ID)
	w.out = append(w.out, `,"name":`...)
	w.out = jsonscan.AppendString(w.out, p.Call.Name)
	w.out = append(w.out, `,"`+text+`":`...)
	w.out = p.Call.Arguments.AppendText(w.out)
	w.out = append(w.out, '}')
	if !p.Signature.Empty() {
		w.r.Loss.Drop(dialect.CSignature)
	}
	if p.Cache != nil {
		w.r.Loss.Drop(dialect.CCache)
	}
}

func (w *requestWriter) parts(parts []dialect.Part, assistant bool) *llmprovider.Error {
	for i := range parts {
		w.out = comma(w.out, i)
		if err := w.part(&parts[i], assistant); err != nil {
			return err
		}
	}
	return nil
}

func (w *requestWriter) part(p *dialect.Part, assistant bool) *llmprovider.Error {
	switch p.Kind {
	case dialect.Text:
		if assistant {
			w.out = append(w.out, `{"type":"output_text","text":`...)
		} else {
			w.out = append(w.out, `{"type":"input_text","text":`...)
		}
		w.out = append(w.out, p.Text...)
	case dialect.Refusal:
		w.out = append(append(w.out, `{"type":"refusal","refusal":`...), p.Text...)
	case dialect.Image:
		w.out = append(w.out, `{"type":"input_image","image_url":`...)
		if err := w.url(p.Media, dialect.CImage); err != nil {
			return err
		}
		w.member("detail", p.Media.Detail)
	case dialect.Document:
		if err := w.document(p.Media); err != nil {
			return err
		}
	case dialect.Audio:
		return w.r.Refuse(dialect.CAudio, "it takes no sound")
	default:
		return w.r.Refuse(dialect.CVideo, "it takes no video")
	}
	if p.Cache != nil {
		w.r.Loss.Drop(dialect.CCache)
	}
	w.out = append(w.out, '}')
	return nil
}

// url writes a medium as the URL of its content, or as a data URL.
func (w *requestWriter) url(m *dialect.Media, c dialect.Concept) *llmprovider.Error {
	switch {
	case m.URL != nil:
		w.out = append(w.out, m.URL...)
	case m.Data != nil:
		w.out = append(w.out, `"data:`...)
		w.out = jsonscan.AppendEscaped(w.out, []byte(m.Type))
		w.out = append(append(w.out, ";base64,"...), m.Data...)
		w.out = append(w.out, '"')
	default:
		return w.r.Refuse(c, "it cannot reach a file that another provider stores")
	}
	return nil
}

func (w *requestWriter) document(m *dialect.Media) *llmprovider.Error {
	if m.Context != nil {
		w.r.Loss.Drop(dialect.CDocumentName)
	}
	switch {
	case m.Text != nil:
		w.r.Loss.Approximate(dialect.CDocument)
		w.out = append(append(w.out, `{"type":"input_text","text":`...), m.Text...)
		return nil
	case m.Data != nil:
		w.out = append(w.out, `{"type":"input_file","file_data":`...)
		if err := w.url(m, dialect.CDocument); err != nil {
			return err
		}
		name := m.Name
		if name == nil {
			name = m.Title
		}
		if name == nil {
			name = dialect.JSON(`"document"`)
		}
		w.member("filename", name)
	case m.URL != nil:
		w.out = append(append(w.out, `{"type":"input_file","file_url":`...), m.URL...)
	default:
		return w.r.Refuse(dialect.CFileID, "it cannot reach a file that another provider stores")
	}
	return nil
}
