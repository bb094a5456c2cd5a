package converse

import (
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// system writes the system messages that the conversation begins with.
func (w *requestWriter) system(turns []dialect.Turn) *llmprovider.Error {
	n := 0
	for i := range turns {
		for j := range turns[i].Parts {
			p := &turns[i].Parts[j]
			if p.Kind != dialect.Text {
				return w.R.Refuse(dialect.CSystem, "its system prompt is text alone")
			}
			if dialect.IsBlank(p.Text) {
				continue
			}
			if n == 0 {
				w.Begin("system")
				w.Out = append(w.Out, '[')
			}
			w.Comma(n)
			n++
			w.Write(`{"text":`, p.Text, `}`)
			w.cache(p.Cache)
		}
	}
	if n > 0 {
		w.Out = append(w.Out, ']')
	}
	return nil
}

// messages writes the conversation.
func (w *requestWriter) messages(turns []dialect.Turn) *llmprovider.Error {
	w.Begin("messages")
	if err := w.Merged(turns, "assistant", `","content":[`, w.blocks); err != nil {
		return err
	}
	c := w.R.Settings.Cache
	switch {
	case c == nil || w.marked:
	case w.markable: // the client has the API find the last block, which Converse does not
		const tail = `]}]`
		w.Out = w.Out[:len(w.Out)-len(tail)]
		w.cache(c)
		w.Out = append(w.Out, tail...)
	default:
		w.R.Loss.Drop(dialect.CCache)
	}
	return nil
}

// blocks writes a turn's parts, results of tools first, and returns how many.
func (w *requestWriter) blocks(parts []dialect.Part) (int, *llmprovider.Error) {
	n := 0
	for pass := range 2 {
		for i := range parts {
			p := &parts[i]
			if (p.Kind == dialect.ToolResult) != (pass == 0) || isBlank(p) {
				continue
			}
			mark := len(w.Out)
			if w.Out[mark-1] != '[' {
				w.Out = append(w.Out, ',')
			}
			written, err := w.block(p)
			if err != nil {
				return n, err
			}
			if !written {
				w.Out = w.Out[:mark]
				continue
			}
			n++
			if !p.Signature.Empty() {
				w.R.Loss.Drop(dialect.CSignature)
			}
			w.mark(p)
		}
	}
	if w.waiting != nil { // nothing that takes it came after the document
		w.R.Loss.Drop(dialect.CCache)
		w.waiting = nil
	}
	return n, nil
}

// mark writes a part's cache marker. One must not follow a document that is no PDF, or
// a video: it goes after the next part, which makes the cached prefix longer.
func (w *requestWriter) mark(p *dialect.Part) {
	c := p.Cache
	switch {
	case p.Kind == dialect.ToolResult && w.Target.Profile.NoResultCache:
		w.DropCache(c)
		w.markable, w.marked = false, false
		return
	case p.Kind == dialect.Video, p.Kind == dialect.Document && p.Media.Type != "application/pdf":
		w.markable, w.marked = false, false
		if c != nil {
			w.waiting = c
		}
		return
	case c == nil && w.waiting != nil:
		c = w.waiting
		w.R.Loss.Approximate(dialect.CCache)
	}
	w.waiting = nil
	w.markable, w.marked = true, c != nil
	w.cache(c)
}

// isBlank reports whether a part is a text with nothing but space, which the API refuses.
func isBlank(p *dialect.Part) bool {
	return (p.Kind == dialect.Text || p.Kind == dialect.Refusal) && dialect.IsBlank(p.Text)
}

func (w *requestWriter) block(p *dialect.Part) (bool, *llmprovider.Error) {
	switch p.Kind {
	case dialect.Text:
		w.Write(`{"text":`, p.Text, `}`)
	case dialect.Refusal:
		w.R.Loss.Approximate(dialect.CRefusal)
		w.Write(`{"text":`, p.Text, `}`)
	case dialect.Reasoning:
		return w.thought(p.Thought), nil
	case dialect.ToolCall:
		w.Out = append(w.Out, `{"toolUse":{"toolUseId":`...)
		w.Out = callIDs.Append(w.Out, p.Call.ID)
		w.String(`,"name":`, p.Call.Name)
		w.Out = append(w.Out, `,"input":`...)
		w.Input(p.Call)
		w.Out = append(w.Out, `}}`...)
	case dialect.ToolResult:
		return true, w.result(p.Result)
	default:
		return true, w.media(p)
	}
	return true, nil
}

// thought writes reasoning of the provider's own vendor.
func (w *requestWriter) thought(t *dialect.Thought) bool {
	switch {
	case t.Data.From(w.Target.Vendor):
		w.Out = append(w.Out, `{"reasoningContent":{"redactedContent":`...)
		w.Out = append(append(w.Out, t.Data.Value...), `}}`...)
	case t.Signature.From(w.Target.Vendor):
		w.Out = append(w.Out, `{"reasoningContent":{"reasoningText":{"text":`...)
		if t.Text == nil {
			w.Out = append(w.Out, `""`...)
		} else {
			w.Out = append(w.Out, t.Text...)
		}
		w.Write(`,"signature":`, t.Signature.Value, `}}}`)
	default:
		w.R.Loss.Drop(dialect.CReasoning)
		return false
	}
	return true
}

// callIDs are what the API takes
// (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolUseBlock.html).
var callIDs = dialect.CallIDs{Marks: ".:", Max: 64}

func (w *requestWriter) result(r *dialect.Result) *llmprovider.Error {
	w.Out = append(w.Out, `{"toolResult":{"toolUseId":`...)
	w.Out = callIDs.Append(w.Out, r.ID)
	w.Out = append(w.Out, `,"content":[`...)
	n := 0
	if r.Object != nil {
		w.Write(`{"json":`, r.Object, `}`)
		n++
	}
	for i := range r.Parts {
		p := &r.Parts[i]
		if isBlank(p) {
			continue
		}
		w.Comma(n)
		n++
		if p.Media == nil {
			w.Write(`{"text":`, p.Text, `}`)
			continue
		}
		if err := w.media(p); err != nil {
			return err
		}
	}
	if n == 0 { // the API wants some content
		w.Out = append(w.Out, `{"text":"(no output)"}`...)
		w.R.Loss.Approximate(dialect.CToolResult)
	}
	w.Out = append(w.Out, ']')
	if r.IsError {
		w.Out = append(w.Out, `,"status":"error"`...)
	}
	w.Out = append(w.Out, `}}`...)
	return nil
}

var (
	imageFormats = map[string]string{"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
	audioFormats = map[string]string{"audio/wav": "wav", "audio/mp3": "mp3", "audio/mpeg": "mp3", "audio/ogg": "ogg", "audio/flac": "flac", "audio/aac": "aac"}
	videoFormats = map[string]string{
		"video/mp4": "mp4", "video/quicktime": "mov", "video/webm": "webm", "video/x-matroska": "mkv", "video/x-flv": "flv", "video/mpeg": "mpeg",
		"video/x-ms-wmv": "wmv", "video/3gpp": "three_gp",
	}
	documentFormats = map[string]string{
		"application/pdf": "pdf", "text/csv": "csv", "text/html": "html", "text/plain": "txt", "text/markdown": "md", "application/msword": "doc",
		"application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx", "application/vnd.ms-excel": "xls",
		"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
	}
)

// media writes a medium, whose content must be in the request.
func (w *requestWriter) media(p *dialect.Part) *llmprovider.Error {
	m, wanted := w.Content(p)
	w.Drop(dialect.CImageDetail, m.Detail)
	if wanted {
		return nil
	}
	kind, formats, concept := "image", imageFormats, dialect.CImage
	switch p.Kind {
	case dialect.Audio:
		kind, formats, concept = "audio", audioFormats, dialect.CAudio
	case dialect.Video:
		kind, formats, concept = "video", videoFormats, dialect.CVideo
	case dialect.Document:
		kind, formats, concept = "document", documentFormats, dialect.CDocument
	}
	format := formats[m.Type]
	switch {
	case m.Data == nil && m.Text == nil:
		return w.R.Refuse(concept, "it does not fetch URLs and cannot reach files that another provider stores; send the content in base64")
	case format == "":
		return w.R.Refuse(concept, "it does not take this type of content")
	}
	w.Out = append(w.Out, `{"`+kind+`":{"format":"`+format+`"`...)
	if p.Kind == dialect.Document {
		name := m.Name
		if name == nil {
			name = m.Title
		}
		w.Out = append(append(append(w.Out, `,"name":"`...), documentName(name)...), '"')
		w.Member("context", m.Context)
	}
	w.Out = append(w.Out, `,"source":`...)
	if m.Text != nil {
		w.Write(`{"text":`, m.Text, `}`)
	} else {
		w.Write(`{"bytes":"`, m.Data, `"}`)
	}
	w.Out = append(w.Out, `}}`...)
	return nil
}
