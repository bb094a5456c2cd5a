package messages

import (
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
			return w.R.Refuse(dialect.CSystem, "its system prompt is text alone")
		}
	}
	if len(parts) == 1 && parts[0].Cache == nil {
		if !dialect.IsBlank(parts[0].Text) {
			w.Member("system", parts[0].Text)
		}
		return nil
	}
	start := len(w.Out)
	w.Out = append(w.Out, `,"system":[`...)
	if n, err := w.blocks(parts); err != nil || n == 0 {
		w.Out = w.Out[:start]
		return err
	}
	w.Out = append(w.Out, ']')
	return nil
}

func (w *requestWriter) messages(turns []dialect.Turn) *llmprovider.Error {
	w.Out = append(w.Out, `,"messages":[`...)
	start := len(w.Out)
	last := ""
	for i := range turns {
		t := &turns[i]
		role := "user"
		switch {
		case t.Role == dialect.Assistant:
			role = "assistant"
			if i == len(turns)-1 && w.Target.Profile.NoPrefill && !w.R.Count {
				return w.R.Refuse(dialect.CPrefill, "the conversation must not end with the model's own turn")
			}
		case t.IsSystem() && w.Target.Profile.SystemTurns && last == "user" && (i == len(turns)-1 || turns[i+1].Role == dialect.Assistant):
			role = "system" // after the user, and before the model: the API refuses it elsewhere
		case t.IsSystem(): // where it stands, since moving it would change the cached prefix at every turn
			w.R.Loss.Approximate(dialect.CSystem)
		}
		w.Drop(dialect.CTurnName, t.Name)
		mark := len(w.Out)
		w.Comma(mark - start)
		w.Out = append(w.Out, `{"role":"`+role+`","content":`...)
		written, err := w.content(t.Parts)
		if err != nil {
			return err
		}
		if !written {
			w.Out = w.Out[:mark]
			continue
		}
		w.Out = append(w.Out, '}')
		last = role
	}
	w.Out = append(w.Out, ']')
	return nil
}

// content writes a turn's content, results of tools first. It reports whether there
// is any: the API refuses blank texts and empty turns.
func (w *requestWriter) content(parts []dialect.Part) (bool, *llmprovider.Error) {
	if len(parts) == 1 && parts[0].Kind == dialect.Text && parts[0].Cache == nil {
		w.Out = append(w.Out, parts[0].Text...)
		return !dialect.IsBlank(parts[0].Text), nil
	}
	w.Out = append(w.Out, '[')
	results, rest := split(parts)
	n, err := w.blocks(results)
	if err != nil {
		return false, err
	}
	if n > 0 {
		w.Out = append(w.Out, ',')
	}
	m, err := w.blocks(rest)
	if err != nil {
		return false, err
	}
	if n > 0 && m == 0 {
		w.Out = w.Out[:len(w.Out)-1]
	}
	w.Out = append(w.Out, ']')
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
		mark := len(w.Out)
		w.Comma(n)
		written, err := w.block(&parts[i])
		if err != nil {
			return n, err
		}
		if !written {
			w.Out = w.Out[:mark]
			continue
		}
		if !parts[i].Signature.Empty() {
			w.R.Loss.Drop(dialect.CSignature)
		}
		if parts[i].Kind != dialect.Reasoning {
			w.cache(parts[i].Cache)
		}
		w.Out = append(w.Out, '}')
		n++
	}
	return n, nil
}

// block begins a block, and reports false if the part makes none.
func (w *requestWriter) block(p *dialect.Part) (bool, *llmprovider.Error) {
	if (p.Kind == dialect.Text || p.Kind == dialect.Refusal) && dialect.IsBlank(p.Text) {
		w.DropCache(p.Cache)
		return false, nil
	}
	switch p.Kind {
	case dialect.Text:
		w.Out = append(w.Out, `{"type":"text","text":`...)
		w.Out = append(w.Out, p.Text...)
	case dialect.Refusal:
		w.R.Loss.Approximate(dialect.CRefusal)
		w.Out = append(w.Out, `{"type":"text","text":`...)
		w.Out = append(w.Out, p.Text...)
	case dialect.Reasoning:
		return w.thought(p.Thought), nil
	case dialect.ToolCall:
		w.call(p.Call)
	case dialect.ToolResult:
		return true, w.result(p.Result)
	case dialect.Image:
		return true, w.image(p)
	case dialect.Document:
		return true, w.document(p)
	case dialect.Audio:
		return false, w.R.Refuse(dialect.CAudio, "it takes no sound")
	default:
		return false, w.R.Refuse(dialect.CVideo, "it takes no video")
	}
	return true, nil
}

// thought writes reasoning of Anthropic's own. That of others has no signature that
// the API takes.
func (w *requestWriter) thought(t *dialect.Thought) bool {
	switch {
	case t.Data.From(Vendor):
		w.Out = append(w.Out, `{"type":"redacted_thinking","data":`...)
		w.Out = append(w.Out, t.Data.Value...)
	case t.Signature.From(Vendor):
		w.Out = append(w.Out, `{"type":"thinking","thinking":`...)
		if t.Text == nil {
			w.Out = append(w.Out, `""`...)
		} else {
			w.Out = append(w.Out, t.Text...)
		}
		w.Out = append(w.Out, `,"signature":`...)
		w.Out = append(w.Out, t.Signature.Value...)
	default:
		w.R.Loss.Drop(dialect.CReasoning)
		return false
	}
	return true
}

func (w *requestWriter) call(call *dialect.ToolUse) {
	w.Out = append(w.Out, `{"type":"tool_use","id":`...)
	w.Out = callIDs.Append(w.Out, call.ID)
	w.String(`,"name":`, call.Name)
	w.Out = append(w.Out, `,"input":`...)
	w.Input(call)
}

// callIDs are what the API takes, as its errors say.
var callIDs dialect.CallIDs

func (w *requestWriter) result(r *dialect.Result) *llmprovider.Error {
	w.Out = append(w.Out, `{"type":"tool_result","tool_use_id":`...)
	w.Out = callIDs.Append(w.Out, r.ID)
	if parts := r.Content(); len(parts) > 0 {
		mark := len(w.Out)
		w.Out = append(w.Out, `,"content":`...)
		written, err := w.content(parts)
		if err != nil {
			return err
		}
		if !written {
			w.Out = w.Out[:mark]
		}
	}
	if r.IsError {
		w.Out = append(w.Out, `,"is_error":true`...)
	}
	return nil
}

var imageTypes = map[string]bool{"image/jpeg": true, "image/png": true, "image/gif": true, "image/webp": true}

// medium returns the medium of a part: where the vendor takes no URLs, with what its URL
// stands for. wanted is as with dialect.RequestWriter's Inline.
func (w *requestWriter) medium(p *dialect.Part) (m *dialect.Media, wanted bool, err *llmprovider.Error) {
	if !w.Target.Profile.NoURLs {
		return p.Media, false, nil
	}
	return w.Inline(p)
}

func (w *requestWriter) image(p *dialect.Part) *llmprovider.Error {
	m, wanted, err := w.medium(p)
	w.Drop(dialect.CImageDetail, m.Detail)
	if wanted || err != nil {
		return err
	}
	w.Out = append(w.Out, `{"type":"image","source":`...)
	switch {
	case m.Data != nil:
		media := m.Type
		if media == "image/jpg" {
			media = "image/jpeg"
		}
		if !imageTypes[media] {
			return w.R.Refuse(dialect.CImage, "it takes images as jpeg, png, gif or webp")
		}
		w.base64(media, m.Data)
	case m.URL != nil:
		w.url(m.URL)
	default:
		return w.NoFile(dialect.CFileID)
	}
	return nil
}

func (w *requestWriter) base64(media string, data []byte) {
	w.Out = append(w.Out, `{"type":"base64","media_type":"`+media+`","data":"`...)
	w.Out = append(w.Out, data...)
	w.Out = append(w.Out, `"}`...)
}

func (w *requestWriter) url(url dialect.JSON) {
	w.Out = append(w.Out, `{"type":"url","url":`...)
	w.Out = append(w.Out, url...)
	w.Out = append(w.Out, '}')
}

func (w *requestWriter) document(p *dialect.Part) *llmprovider.Error {
	m, wanted, err := w.medium(p)
	if wanted || err != nil {
		return err
	}
	w.Out = append(w.Out, `{"type":"document","source":`...)
	switch {
	case m.Text != nil:
		w.Out = append(w.Out, `{"type":"text","media_type":"text/plain","data":`...)
		w.Out = append(w.Out, m.Text...)
		w.Out = append(w.Out, '}')
	case m.Data != nil:
		if m.Type != "application/pdf" {
			return w.R.Refuse(dialect.CDocument, "it takes documents as PDF or as text")
		}
		w.base64(m.Type, m.Data)
	case m.URL != nil:
		w.url(m.URL)
	default:
		return w.NoFile(dialect.CFileID)
	}
	title := m.Title
	if title == nil {
		title = m.Name
	}
	w.Member("title", title)
	w.Member("context", m.Context)
	return nil
}

// cache writes a cache marker, of which a request may have a few.
func (w *requestWriter) cache(c *dialect.Cache) {
	if c == nil {
		return
	}
	if w.marks++; w.marks > maxMarks {
		w.R.Loss.Drop(dialect.CCache)
		return
	}
	w.Ephemeral(c)
}
