package messages

import (
	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// maxMarks is how many cache markers a request may have.
const maxMarks = 4

// system writes the system messages that the conversation begins with.
func (w *requestWriter) system(turns []dialect.Turn) *llmprovider.Error {
	var parts []dialect.Part
	for i := range turns {
		parts = append(parts, turns[i].Parts...)
	}
	if len(parts) == 0 {
		return nil
	}
	for i := range parts {
		if parts[i].Kind != dialect.Text {
			return w.r.Refuse(dialect.CSystem, "its system prompt is text alone")
		}
	}
	if len(parts) == 1 && parts[0].Cache == nil {
		w.member("system", parts[0].Text)
		return nil
	}
	start := len(w.out)
	w.out = append(w.out, `,"system":[`...)
	if n, err := w.blocks(parts); err != nil || n == 0 {
		w.out = w.out[:start]
		return err
	}
	w.out = append(w.out, ']')
	return nil
}

func (w *requestWriter) messages(turns []dialect.Turn) *llmprovider.Error {
	w.out = append(w.out, `,"messages":[`...)
	start := len(w.out)
	for i := range turns {
		t := &turns[i]
		role := "user"
		switch {
		case t.Role == dialect.Assistant:
			role = "assistant"
			if i == len(turns)-1 && w.target.Profile.NoPrefill && !w.r.Count {
				return w.r.Refuse(dialect.CPrefill, "the conversation must not end with the model's own turn")
			}
		case isSystem(t) && w.target.Profile.SystemTurns:
			role = "system"
		case isSystem(t): // where it stands, since moving it would change the cached prefix at every turn
			w.r.Loss.Approximate(dialect.CSystem)
		}
		if t.Name != nil {
			w.r.Loss.Drop(dialect.CTurnName)
		}
		mark := len(w.out)
		w.out = comma(w.out, mark-start)
		w.out = append(w.out, `{"role":"`+role+`","content":`...)
		written, err := w.content(t.Parts)
		if err != nil {
			return err
		}
		if !written {
			w.out = w.out[:mark]
			continue
		}
		w.out = append(w.out, '}')
	}
	w.out = append(w.out, ']')
	return nil
}

// content writes a turn's content, results of tools first. It reports whether there
// is any: the API refuses empty texts and turns.
func (w *requestWriter) content(parts []dialect.Part) (bool, *llmprovider.Error) {
	if len(parts) == 1 && parts[0].Kind == dialect.Text && parts[0].Cache == nil {
		w.out = append(w.out, parts[0].Text...)
		return len(parts[0].Text) > 2, nil
	}
	w.out = append(w.out, '[')
	results, rest := split(parts)
	n, err := w.blocks(results)
	if err != nil {
		return false, err
	}
	if n > 0 {
		w.out = append(w.out, ',')
	}
	m, err := w.blocks(rest)
	if err != nil {
		return false, err
	}
	if n > 0 && m == 0 {
		w.out = w.out[:len(w.out)-1]
	}
	w.out = append(w.out, ']')
	return n+m > 0, nil
}

// split returns the results of tools and the other parts, each in their order.
func split(parts []dialect.Part) (results, rest []dialect.Part) {
	for i := range parts {
		if parts[i].Kind == dialect.ToolResult {
			results = append(results, parts[i])
		}
	}
	if len(results) == 0 {
		return nil, parts
	}
	for i := range parts {
		if parts[i].Kind != dialect.ToolResult {
			rest = append(rest, parts[i])
		}
	}
	return results, rest
}

// blocks writes the parts as blocks, and returns how many it wrote.
func (w *requestWriter) blocks(parts []dialect.Part) (int, *llmprovider.Error) {
	n := 0
	for i := range parts {
		mark := len(w.out)
		w.out = comma(w.out, n)
		written, err := w.block(&parts[i])
		if err != nil {
			return n, err
		}
		if !written {
			w.out = w.out[:mark]
			continue
		}
		if !parts[i].Signature.Empty() {
			w.r.Loss.Drop(dialect.CSignature)
		}
		if parts[i].Kind != dialect.Reasoning {
			w.cache(parts[i].Cache)
		}
		w.out = append(w.out, '}')
		n++
	}
	return n, nil
}

// block begins a block, and reports false if the part makes none.
func (w *requestWriter) block(p *dialect.Part) (bool, *llmprovider.Error) {
	switch p.Kind {
	case dialect.Text:
		if len(p.Text) <= 2 {
			if p.Cache != nil {
				w.r.Loss.Drop(dialect.CCache)
			}
			return false, nil
		}
		w.out = append(w.out, `{"type":"text","text":`...)
		w.out = append(w.out, p.Text...)
	case dialect.Refusal:
		w.r.Loss.Approximate(dialect.CRefusal)
		w.out = append(w.out, `{"type":"text","text":`...)
		w.out = append(w.out, p.Text...)
	case dialect.Reasoning:
		return w.thought(p.Thought), nil
	case dialect.ToolCall:
		w.call(p.Call)
	case dialect.ToolResult:
		return true, w.result(p.Result)
	case dialect.Image:
		return true, w.image(p.Media)
	case dialect.Document:
		return true, w.document(p.Media)
	case dialect.Audio:
		return false, w.r.Refuse(dialect.CAudio, "it takes no sound")
	default:
		return false, w.r.Refuse(dialect.CVideo, "it takes no video")
	}
	return true, nil
}

// thought writes reasoning of Anthropic's own. That of others has no signature that
// the API takes.
func (w *requestWriter) thought(t *dialect.Thought) bool {
	switch {
	case t.Data.From(Vendor):
		w.out = append(w.out, `{"type":"redacted_thinking","data":`...)
		w.out = append(w.out, t.Data.Value...)
	case t.Signature.From(Vendor):
		w.out = append(w.out, `{"type":"thinking","thinking":`...)
		if t.Text == nil {
			w.out = append(w.out, `""`...)
		} else {
			w.out = append(w.out, t.Text...)
		}
		w.out = append(w.out, `,"signature":`...)
		w.out = append(w.out, t.Signature.Value...)
	default:
		w.r.Loss.Drop(dialect.CReasoning)
		return false
	}
	return true
}

func (w *requestWriter) call(call *dialect.ToolUse) {
	w.out = append(w.out, `{"type":"tool_use","id":`...)
	w.out = appendID(w.out, call.ID)
	w.out = append(w.out, `,"name":`...)
	w.out = jsonscan.AppendString(w.out, call.Name)
	w.out = append(w.out, `,"input":`...)
	if call.Custom {
		w.out = append(w.out, `{"input":`...)
		w.out = append(w.out, call.Arguments.Text...)
		w.out = append(w.out, '}')
		return
	}
	var exact bool
	if w.out, exact = call.Arguments.AppendObject(w.out); !exact {
		w.r.Loss.Approximate(dialect.CArguments)
	}
}

// appendID appends an id in the characters that the API takes.
func appendID(dst []byte, id string) []byte {
	dst = append(dst, '"')
	for _, c := range []byte(id) {
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			c = '_'
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

func (w *requestWriter) result(r *dialect.Result) *llmprovider.Error {
	w.out = append(w.out, `{"type":"tool_result","tool_use_id":`...)
	w.out = appendID(w.out, r.ID)
	if r.Object != nil {
		w.out = append(w.out, `,"content":`...)
		w.out = append(w.out, '"')
		w.out = jsonscan.AppendEscaped(w.out, r.Object)
		w.out = append(w.out, '"')
		if len(r.Parts) > 0 {
			w.r.Loss.Drop(dialect.CToolResult)
		}
	} else if len(r.Parts) > 0 {
		mark := len(w.out)
		w.out = append(w.out, `,"content":`...)
		written, err := w.content(r.Parts)
		if err != nil {
			return err
		}
		if !written {
			w.out = w.out[:mark]
		}
	}
	if r.IsError {
		w.out = append(w.out, `,"is_error":true`...)
	}
	return nil
}

var imageTypes = map[string]bool{"image/jpeg": true, "image/png": true, "image/gif": true, "image/webp": true}

func (w *requestWriter) image(m *dialect.Media) *llmprovider.Error {
	w.drop(dialect.CImageDetail, m.Detail)
	w.out = append(w.out, `{"type":"image","source":`...)
	switch {
	case m.Data != nil:
		media := m.Type
		if media == "image/jpg" {
			media = "image/jpeg"
		}
		if !imageTypes[media] {
			return w.r.Refuse(dialect.CImage, "it takes images as jpeg, png, gif or webp")
		}
		w.base64(media, m.Data)
	case m.URL != nil:
		w.url(m.URL)
	default:
		return w.r.Refuse(dialect.CFileID, "it cannot reach a file that another provider stores")
	}
	return nil
}

func (w *requestWriter) base64(media string, data []byte) {
	w.out = append(w.out, `{"type":"base64","media_type":"`+media+`","data":"`...)
	w.out = append(w.out, data...)
	w.out = append(w.out, `"}`...)
}

func (w *requestWriter) url(url dialect.JSON) {
	w.out = append(w.out, `{"type":"url","url":`...)
	w.out = append(w.out, url...)
	w.out = append(w.out, '}')
}

func (w *requestWriter) document(m *dialect.Media) *llmprovider.Error {
	w.out = append(w.out, `{"type":"document","source":`...)
	switch {
	case m.Text != nil:
		w.out = append(w.out, `{"type":"text","media_type":"text/plain","data":`...)
		w.out = append(w.out, m.Text...)
		w.out = append(w.out, '}')
	case m.Data != nil:
		if m.Type != "application/pdf" {
			return w.r.Refuse(dialect.CDocument, "it takes documents as PDF or as text")
		}
		w.base64(m.Type, m.Data)
	case m.URL != nil:
		w.url(m.URL)
	default:
		return w.r.Refuse(dialect.CFileID, "it cannot reach a file that another provider stores")
	}
	title := m.Title
	if title == nil {
		title = m.Name
	}
	w.member("title", title)
	w.member("context", m.Context)
	return nil
}

// cache writes a cache marker. The API's lifetimes are five minutes and an hour.
func (w *requestWriter) cache(c *dialect.Cache) {
	if c == nil {
		return
	}
	if w.marks++; w.marks > maxMarks {
		w.r.Loss.Drop(dialect.CCache)
		return
	}
	switch c.TTL {
	case 0, 300:
		w.out = append(w.out, `,"cache_control":{"type":"ephemeral"}`...)
		return
	case 3600:
	default:
		w.r.Loss.Approximate(dialect.CCache)
	}
	w.out = append(w.out, `,"cache_control":{"type":"ephemeral","ttl":"1h"}`...)
}
