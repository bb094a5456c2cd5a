package gemini

import (
	"bytes"
	"strings"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// reader is what is known of a conversation while it is read.
type reader struct {
	r    *dialect.Request
	open openCalls

	joined   *dialect.Thought // whose text is the reader's own
	contents int              // that were read
	inResult bool             // what is read stands inside a result
}

func (c *reader) readContents(contents dialect.JSON) *llmprovider.Error {
	if len(contents) == 0 || contents[0] != '[' && contents[0] != '{' {
		return dialect.Invalid("contents", "an array of contents")
	}
	if contents[0] == '{' {
		return c.readContent(contents)
	}
	for content := range jsonscan.Elements(contents) {
		if err := c.readContent(content); err != nil {
			return err
		}
	}
	return nil
}

func (c *reader) readContent(content dialect.JSON) *llmprovider.Error {
	t := dialect.Turn{Role: dialect.User}
	switch string(jsonscan.Plain(dialect.GetCamel(content, "role"))) {
	case "", "user", "function", "tool":
	case "model":
		t.Role = dialect.Assistant
	default:
		return dialect.Invalid("contents[].role", "user or model")
	}
	var err *llmprovider.Error
	if t.Parts, err = c.readParts(content); err != nil {
		return err
	}
	c.contents++
	if t.Role == dialect.Assistant { // some SDKs keep each event of a stream as a turn
		if turns := c.r.Turns; len(turns) == 0 || turns[len(turns)-1].Role != dialect.Assistant || len(t.Parts) != 1 || string(t.Parts[0].Text) != `""` {
			c.r.AddAssistant(t.Parts...)
		}
		return nil
	}
	c.r.Turns = append(c.r.Turns, t)
	return nil
}

func (c *reader) readParts(content dialect.JSON) ([]dialect.Part, *llmprovider.Error) {
	if jsonscan.IsString(content) {
		return []dialect.Part{{Kind: dialect.Text, Text: content}}, nil
	}
	parts := dialect.GetCamel(content, "parts")
	if len(parts) > 0 && parts[0] == '{' {
		p, err := c.readPart(parts, 0)
		return []dialect.Part{p}, err
	}
	var out []dialect.Part
	empty := false
	for raw := range jsonscan.Elements(parts) {
		if isEmpty(raw) {
			empty = true
			continue
		}
		p, err := c.readPart(raw, len(out))
		if err != nil {
			return nil, err
		}
		if len(out) == 0 || !c.joins(&out[len(out)-1], &p) {
			out = append(out, p)
		}
	}
	if empty && out == nil {
		out = []dialect.Part{{Kind: dialect.Text, Text: []byte(`""`)}}
	}
	return out, nil
}

// joins adds a part of reasoning to the one before it, and reports whether it belongs to
// that: streams have one in pieces, with the signature in the last.
func (c *reader) joins(before, p *dialect.Part) bool {
	if before.Kind != dialect.Reasoning || p.Kind != dialect.Reasoning {
		return false
	}
	a, b := before.Thought, p.Thought
	if a.Text == nil || !a.Signature.Empty() || !b.Data.Empty() {
		return false
	}
	if b.Text != nil {
		if c.joined != a { // its text stands in the request so far
			c.joined, a.Text = a, bytes.Clone(a.Text)
		}
		a.Text = append(append(a.Text[:len(a.Text)-1], jsonscan.Inner(b.Text)...), '"')
	}
	a.Signature, before.Signature = b.Signature, p.Signature
	return true
}

// isEmpty reports whether a part has nothing in it. Streams end with an empty text, and
// clients send it back, some SDKs without its member.
func isEmpty(part dialect.JSON) bool {
	for key, v := range jsonscan.Members(part) {
		switch string(dialect.CamelName(key)) {
		case "text":
			if !jsonscan.IsNull(v) && string(v) != `""` {
				return false
			}
		case "thought":
		default:
			if !jsonscan.IsNull(v) {
				return false
			}
		}
	}
	return len(part) > 0 && part[0] == '{'
}

func (c *reader) readPart(raw dialect.JSON, n int) (dialect.Part, *llmprovider.Error) {
	var p dialect.Part
	thought := false
	for key, v := range jsonscan.Members(raw) {
		if jsonscan.IsNull(v) {
			continue
		}
		switch string(dialect.CamelName(key)) {
		case "text":
			p.Kind, p.Text = dialect.Text, v
		case "thought":
			thought = dialect.IsTrue(v)
		case "thoughtSignature":
			p.Signature = dialect.ReadBinary(v, Vendor)
		case "inlineData":
			data := dialect.CamelString(v, "data")
			if data == nil {
				return p, dialect.Invalid("contents[].parts[].inlineData.data", "the content in base64")
			}
			p.Media = &dialect.Media{Type: jsonscan.Text(dialect.GetCamel(v, "mimeType")), Data: standard(jsonscan.Plain(data)), Name: dialect.CamelString(v, "displayName")}
			p.Kind = kindOf(p.Media.Type)
		case "fileData":
			uri := dialect.CamelString(v, "fileUri")
			if uri == nil {
				return p, dialect.Invalid("contents[].parts[].fileData.fileUri", "a URI")
			}
			p.Media = &dialect.Media{Type: jsonscan.Text(dialect.GetCamel(v, "mimeType"))}
			if text := jsonscan.Text(uri); strings.HasPrefix(text, "gs://") || strings.Contains(text, "/v1beta/files/") {
				p.Media.FileID = uri
			} else {
				p.Media.URL = uri
			}
			p.Kind = kindOf(p.Media.Type)
		case "functionCall":
			c.readCall(&p, v, n)
			if p.Call.Name == "" {
				return p, dialect.Invalid("contents[].parts[].functionCall.name", "the name of a function")
			}
		case "functionResponse":
			if c.inResult {
				return p, dialect.Invalid("contents[].parts[].functionResponse.parts[]", "inlineData or fileData")
			}
			if err := c.readResult(&p, v); err != nil {
				return p, err
			}
		case "executableCode", "codeExecutionResult", "toolCall", "toolResponse":
			return p, c.r.Refuse(dialect.CHostedTool, onlyHere)
		default: // videoMetadata, mediaResolution…
			c.r.Loss.Drop(dialect.Other)
		}
	}
	switch {
	case p.Kind == 0 && !p.Signature.Empty(), p.Kind == dialect.Text && thought && p.Signature.Sealed: // state alone
		p.Kind, p.Text, p.Thought = dialect.Reasoning, nil, &dialect.Thought{Data: p.Signature}
		if !p.Signature.Sealed && !p.Signature.From(Vendor) {
			p.Thought = &dialect.Thought{Signature: p.Signature}
		}
	case p.Kind == 0:
		return p, dialect.Invalid("contents[].parts[]", "a part with its content")
	case p.Kind == dialect.Text && thought:
		p.Kind, p.Thought = dialect.Reasoning, &dialect.Thought{Text: p.Text, Summary: true, Signature: p.Signature}
		p.Text = nil
	}
	return p, nil
}

// standard returns base64 in its standard alphabet: the API takes the one for URLs as
// well.
func standard(data []byte) []byte {
	if bytes.IndexByte(data, '-') < 0 && bytes.IndexByte(data, '_') < 0 {
		return data
	}
	out := bytes.Clone(data)
	for i, c := range out {
		switch c {
		case '-':
			out[i] = '+'
		case '_':
			out[i] = '/'
		}
	}
	return out
}

// kindOf is the kind of a medium of that type.
func kindOf(media string) dialect.Kind {
	switch kind, _, _ := strings.Cut(media, "/"); kind {
	case "image":
		return dialect.Image
	case "audio":
		return dialect.Audio
	case "video":
		return dialect.Video
	}
	return dialect.Document
}

func (c *reader) readCall(p *dialect.Part, v dialect.JSON, n int) {
	call := &dialect.ToolUse{ID: jsonscan.Text(dialect.GetCamel(v, "id")), Name: jsonscan.Text(dialect.GetCamel(v, "name"))}
	placed := call.ID == ""
	if placed {
		call.ID = dialect.PlacedID(c.contents, n)
	}
	if args := dialect.GetCamel(v, "args"); len(args) > 0 && args[0] == '{' {
		call.Arguments.Object = args
	}
	p.Kind, p.Call = dialect.ToolCall, call
	c.open.add(call, placed)
}

// readResult reads a result, with the call that it belongs to.
func (c *reader) readResult(p *dialect.Part, v dialect.JSON) *llmprovider.Error {
	id, function := jsonscan.Text(dialect.GetCamel(v, "id")), jsonscan.Text(dialect.GetCamel(v, "name"))
	call := c.open.take(id, function)
	if call == nil {
		return dialect.Invalid("contents[].parts[].functionResponse.name", "the name of a function that was called before")
	}
	p.Kind, p.Result = dialect.ToolResult, &dialect.Result{ID: call.ID, Name: call.Name, Object: dialect.GetCamel(v, "response")}
	if response := p.Result.Object; response != nil && onlyMember(response) { // the conventional members
		if text := dialect.CamelString(response, "output"); text != nil {
			p.Result.Object, p.Result.Parts = nil, []dialect.Part{{Kind: dialect.Text, Text: text}}
		} else if text := dialect.CamelString(response, "error"); text != nil {
			p.Result.Object, p.Result.Parts, p.Result.IsError = nil, []dialect.Part{{Kind: dialect.Text, Text: text}}, true
		}
	}
	c.inResult = true
	defer func() { c.inResult = false }()
	for raw := range jsonscan.Elements(dialect.GetCamel(v, "parts")) {
		media, err := c.readPart(raw, 0)
		if err != nil {
			return err
		}
		p.Result.Parts = append(p.Result.Parts, media)
	}
	return nil
}

// onlyMember reports whether an object has one member.
func onlyMember(object dialect.JSON) bool {
	n := 0
	for range jsonscan.Members(object) {
		n++
	}
	return n == 1
}
