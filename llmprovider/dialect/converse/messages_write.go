package converse

import (
	"strings"

	"github.com/caddy-llm/gateway/internal/jsonscan"
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
				return w.r.Refuse(dialect.CSystem, "its system prompt is text alone")
			}
			if len(p.Text) <= 2 {
				continue
			}
			if n == 0 {
				w.begin("system")
				w.out = append(w.out, '[')
			}
			w.out = comma(w.out, n)
			n++
			w.out = append(append(append(w.out, `{"text":`...), p.Text...), '}')
			w.cache(p.Cache)
		}
	}
	if n > 0 {
		w.out = append(w.out, ']')
	}
	return nil
}

// messages writes the conversation. Turns of one role that follow each other are one.
func (w *requestWriter) messages(turns []dialect.Turn) *llmprovider.Error {
	w.begin("messages")
	w.out = append(w.out, '[')
	last := ""
	for i := range turns {
		t := &turns[i]
		role := "user"
		switch {
		case t.Role == dialect.Assistant:
			role = "assistant"
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
			w.out = append(w.out, `{"role":"`+role+`","content":[`...)
		}
		n, err := w.blocks(t.Parts)
		if err != nil {
			return err
		}
		if n == 0 && role != last {
			w.out = w.out[:mark]
			continue
		}
		last = role
		w.out = append(w.out, `]}`...)
	}
	w.out = append(w.out, ']')
	return nil
}

// blocks writes a turn's parts, results of tools first, and returns how many.
func (w *requestWriter) blocks(parts []dialect.Part) (int, *llmprovider.Error) {
	n := 0
	for pass := range 2 {
		for i := range parts {
			p := &parts[i]
			if (p.Kind == dialect.ToolResult) != (pass == 0) || p.Kind == dialect.Text && isBlank(p.Text) {
				continue
			}
			mark := len(w.out)
			if w.out[mark-1] != '[' {
				w.out = append(w.out, ',')
			}
			written, err := w.block(p)
			if err != nil {
				return n, err
			}
			if !written {
				w.out = w.out[:mark]
				continue
			}
			n++
			if !p.Signature.Empty() {
				w.r.Loss.Drop(dialect.CSignature)
			}
			w.cache(p.Cache)
		}
	}
	return n, nil
}

// isBlank reports whether a text has nothing but space, which the API refuses.
func isBlank(text dialect.JSON) bool {
	return strings.TrimSpace(jsonscan.Text(text)) == ""
}

func (w *requestWriter) block(p *dialect.Part) (bool, *llmprovider.Error) {
	switch p.Kind {
	case dialect.Text:
		w.out = append(append(append(w.out, `{"text":`...), p.Text...), '}')
	case dialect.Refusal:
		w.r.Loss.Approximate(dialect.CRefusal)
		w.out = append(append(append(w.out, `{"text":`...), p.Text...), '}')
	case dialect.Reasoning:
		return w.thought(p.Thought), nil
	case dialect.ToolCall:
		w.out = append(w.out, `{"toolUse":{"toolUseId":`...)
		w.out = jsonscan.AppendString(w.out, p.Call.ID)
		w.out = append(w.out, `,"name":`...)
		w.out = jsonscan.AppendString(w.out, p.Call.Name)
		w.out = append(w.out, `,"input":`...)
		if p.Call.Custom {
			w.out = append(append(append(w.out, `{"input":`...), p.Call.Arguments.Text...), '}')
		} else {
			var exact bool
			if w.out, exact = p.Call.Arguments.AppendObject(w.out); !exact {
				w.r.Loss.Approximate(dialect.CArguments)
			}
		}
		w.out = append(w.out, `}}`...)
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
	case t.Data.From(w.target.Vendor):
		w.out = append(w.out, `{"reasoningContent":{"redactedContent":`...)
		w.out = append(append(w.out, t.Data.Value...), `}}`...)
	case t.Signature.From(w.target.Vendor):
		w.out = append(w.out, `{"reasoningContent":{"reasoningText":{"text":`...)
		if t.Text == nil {
			w.out = append(w.out, `""`...)
		} else {
			w.out = append(w.out, t.Text...)
		}
		w.out = append(append(append(w.out, `,"signature":`...), t.Signature.Value...), `}}}`...)
	default:
		w.r.Loss.Drop(dialect.CReasoning)
		return false
	}
	return true
}

func (w *requestWriter) result(r *dialect.Result) *llmprovider.Error {
	w.out = append(w.out, `{"toolResult":{"toolUseId":`...)
	w.out = jsonscan.AppendString(w.out, r.ID)
	w.out = append(w.out, `,"content":[`...)
	n := 0
	if r.Object != nil {
		w.out = append(append(append(w.out, `{"json":`...), r.Object...), '}')
		n++
	}
	for i := range r.Parts {
		w.out = comma(w.out, n)
		n++
		p := &r.Parts[i]
		if p.Media == nil {
			w.out = append(append(append(w.out, `{"text":`...), p.Text...), '}')
			continue
		}
		if err := w.media(p); err != nil {
			return err
		}
	}
	if n == 0 { // the API wants some content
		w.out = append(w.out, `{"text":"(no output)"}`...)
		w.r.Loss.Approximate(dialect.CToolResult)
	}
	w.out = append(w.out, ']')
	if r.IsError {
		w.out = append(w.out, `,"status":"error"`...)
	}
	w.out = append(w.out, `}}`...)
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
	m := p.Media
	w.drop(dialect.CImageDetail, m.Detail)
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
		return w.r.Refuse(concept, "it does not fetch URLs and cannot reach files that another provider stores; send the content in base64")
	case format == "":
		return w.r.Refuse(concept, "it does not take this type of content")
	}
	w.out = append(w.out, `{"`+kind+`":{"format":"`+format+`"`...)
	if p.Kind == dialect.Document {
		name := m.Name
		if name == nil {
			name = m.Title
		}
		w.out = append(append(append(w.out, `,"name":"`...), documentName(name)...), '"')
		w.member("context", m.Context)
	}
	w.out = append(w.out, `,"source":`...)
	if m.Text != nil {
		w.out = append(append(append(w.out, `{"text":`...), m.Text...), '}')
	} else {
		w.out = append(append(append(w.out, `{"bytes":"`...), m.Data...), `"}`...)
	}
	w.out = append(w.out, `}}`...)
	return nil
}
