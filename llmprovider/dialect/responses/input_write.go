package responses

import (
	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

func (w *requestWriter) input() *llmprovider.Error {
	w.Out = append(w.Out, `,"input":[`...)
	start := len(w.Out)
	for i := range w.R.Turns {
		t := &w.R.Turns[i]
		w.Drop(dialect.CTurnName, t.Name)
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
	w.Out = append(w.Out, ']')
	return nil
}

// begin begins an item.
func (w *requestWriter) begin(start int, text string) {
	w.Comma(len(w.Out) - start)
	w.Out = append(w.Out, text...)
}

func (w *requestWriter) message(role string, parts []dialect.Part, start int) *llmprovider.Error {
	if len(parts) == 0 {
		return nil
	}
	w.begin(start, `{"type":"message","role":"`+role+`","content":[`)
	if err := w.parts(parts, role == "assistant"); err != nil {
		return err
	}
	w.Out = append(w.Out, `]}`...)
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

// callIDs are what the API takes
// (https://github.com/openai/openai-openapi, FunctionCallOutputItemParam).
var callIDs = dialect.CallIDs{Any: true, Max: 64}

func (w *requestWriter) output(r *dialect.Result, start int) *llmprovider.Error {
	kind := "function_call_output"
	if r.Custom {
		kind = "custom_tool_call_output"
	}
	w.begin(start, `{"type":"`+kind+`","call_id":`)
	w.Out = callIDs.Append(w.Out, r.ID)
	w.Out = append(w.Out, `,"output":`...)
	prefix := ""
	if r.IsError {
		prefix = "Error: "
		w.R.Loss.Approximate(dialect.CToolError)
	}
	parts := r.Content()
	if len(parts) > 1 || len(parts) == 1 && parts[0].Kind != dialect.Text {
		w.Out = append(w.Out, '[')
		if prefix != "" {
			w.Out = append(w.Out, `{"type":"input_text","text":"Error: "},`...)
		}
		if err := w.parts(parts, false); err != nil {
			return err
		}
		w.Out = append(w.Out, `]}`...)
		return nil
	}
	w.Out = append(w.Out, '"')
	w.Out = append(w.Out, prefix...)
	if len(parts) == 1 {
		w.Out = append(w.Out, jsonscan.Inner(parts[0].Text)...)
	}
	w.Out = append(w.Out, `"}`...)
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
		w.R.Loss.Drop(dialect.CReasoning)
		return
	}
	w.begin(start, `{"type":"reasoning"`)
	w.Member("id", t.ID)
	w.Out = append(w.Out, `,"summary":[`...)
	if len(t.Text) > 2 {
		w.Write(`{"type":"summary_text","text":`, t.Text, "")
		w.Out = append(w.Out, '}')
	}
	w.Out = append(w.Out, ']')
	w.Member("encrypted_content", state.Value)
	w.Out = append(w.Out, '}')
}

func (w *requestWriter) call(p *dialect.Part, start int) {
	kind, text := "function_call", "arguments"
	if p.Call.Custom {
		kind, text = "custom_tool_call", "input"
	}
	w.begin(start, `{"type":"`+kind+`","call_id":`)
	w.Out = callIDs.Append(w.Out, p.Call.ID)
	w.String(`,"name":`, p.Call.Name)
	w.Out = append(w.Out, `,"`+text+`":`...)
	if p.Call.Custom {
		w.Out = append(w.Out, p.Call.FreeText()...)
	} else {
		w.Out = p.Call.Arguments.AppendText(w.Out)
	}
	w.Out = append(w.Out, '}')
	if !p.Signature.Empty() {
		w.R.Loss.Drop(dialect.CSignature)
	}
	w.DropCache(p.Cache)
}

func (w *requestWriter) parts(parts []dialect.Part, assistant bool) *llmprovider.Error {
	for i := range parts {
		w.Comma(i)
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
			w.Out = append(w.Out, `{"type":"output_text","text":`...)
		} else {
			w.Out = append(w.Out, `{"type":"input_text","text":`...)
		}
		w.Out = append(w.Out, p.Text...)
	case dialect.Refusal:
		w.Write(`{"type":"refusal","refusal":`, p.Text, "")
	case dialect.Image:
		w.Out = append(w.Out, `{"type":"input_image","image_url":`...)
		if err := w.DataURL(p.Media, dialect.CImage); err != nil {
			return err
		}
		w.Member("detail", p.Media.Detail)
	case dialect.Document:
		if err := w.document(p.Media); err != nil {
			return err
		}
	case dialect.Audio:
		return w.R.Refuse(dialect.CAudio, "it takes no sound")
	default:
		return w.R.Refuse(dialect.CVideo, "it takes no video")
	}
	w.DropCache(p.Cache)
	w.Out = append(w.Out, '}')
	return nil
}

func (w *requestWriter) document(m *dialect.Media) *llmprovider.Error {
	if m.Context != nil {
		w.R.Loss.Drop(dialect.CDocumentName)
	}
	switch {
	case m.Text != nil:
		w.R.Loss.Approximate(dialect.CDocument)
		w.Write(`{"type":"input_text","text":`, m.Text, "")
		return nil
	case m.Data != nil:
		w.Out = append(w.Out, `{"type":"input_file","file_data":`...)
		if err := w.DataURL(m, dialect.CDocument); err != nil {
			return err
		}
		name := m.Name
		if name == nil {
			name = m.Title
		}
		if name == nil {
			name = dialect.JSON(`"document"`)
		}
		w.Member("filename", name)
	case m.URL != nil:
		w.Write(`{"type":"input_file","file_url":`, m.URL, "")
	default:
		return w.NoFile(dialect.CFileID)
	}
	return nil
}
