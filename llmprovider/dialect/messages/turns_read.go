package messages

import (
	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// maxDepth is how deep contents may be nested: a message, a result, a document.
const maxDepth = 3

// reader is what is known of a conversation while it is read.
type reader struct {
	r     *dialect.Request
	calls map[string]string // the names of the tools called, by the calls' ids
	depth int               // of the contents that are open
}

func (c *reader) readMessages(messages dialect.JSON) *llmprovider.Error {
	if len(messages) == 0 || messages[0] != '[' {
		return dialect.Invalid("messages", "an array of messages")
	}
	for m := range jsonscan.Elements(messages) {
		var t dialect.Turn
		var role, content dialect.JSON
		for name, v := range jsonscan.Members(m) { // once: most of a request is in them
			switch {
			case role == nil && jsonscan.NameIs(name, "role"):
				role = v
			case content == nil && jsonscan.NameIs(name, "content"):
				content = v
			}
		}
		switch string(jsonscan.Plain(role)) {
		case "user":
			t.Role = dialect.User
		case "assistant":
			t.Role = dialect.Assistant
		case "system":
			t.Role = dialect.System
		default:
			return dialect.Invalid("messages[].role", "user, assistant or system")
		}
		var err *llmprovider.Error
		if t.Parts, err = c.readContent(content, "messages[].content"); err != nil {
			return err
		}
		if t.Role == dialect.Assistant {
			c.r.AddAssistant(t.Parts...)
			continue
		}
		c.r.Turns = append(c.r.Turns, t)
	}
	return nil
}

// readContent reads a string or an array of blocks.
func (c *reader) readContent(content dialect.JSON, field string) ([]dialect.Part, *llmprovider.Error) {
	switch {
	case jsonscan.IsString(content):
		return []dialect.Part{{Kind: dialect.Text, Text: content}}, nil
	case len(content) == 0 || content[0] != '[':
		return nil, dialect.Invalid(field, "a string or an array of blocks")
	}
	// Contents inside contents are those of results and documents, and no deeper.
	if c.depth++; c.depth > maxDepth {
		return nil, dialect.Invalid(field, "text, images and documents alone inside a tool_result or a document")
	}
	defer func() { c.depth-- }()
	var parts []dialect.Part
	for raw := range jsonscan.Elements(content) {
		p, err := c.readBlock(raw)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// block is a content block as it is in the request.
type block struct {
	kind                                               []byte
	text, source, citations, thinking, signature, data dialect.JSON
	id, name, input, toolUseID, content, isError       dialect.JSON
	title, context                                     dialect.JSON
}

// readMembers reads a block's members in one pass: most of a request is in them.
func (b *block) readMembers(raw dialect.JSON, cache **dialect.Cache) {
	for name, v := range jsonscan.Members(raw) {
		if jsonscan.IsNull(v) {
			continue
		}
		switch string(jsonscan.Plain(name)) {
		case "type":
			b.kind = jsonscan.Plain(v)
		case "cache_control":
			*cache = dialect.ReadCache(v)
		case "text":
			b.text = v
		case "source":
			b.source = v
		case "citations":
			b.citations = v
		case "thinking":
			b.thinking = v
		case "signature":
			b.signature = v
		case "data":
			b.data = v
		case "id":
			b.id = v
		case "name":
			b.name = v
		case "input":
			b.input = v
		case "tool_use_id":
			b.toolUseID = v
		case "content":
			b.content = v
		case "is_error":
			b.isError = v
		case "title":
			b.title = v
		case "context":
			b.context = v
		}
	}
}

// text returns a value if it is a string, else nil.
func text(value dialect.JSON) dialect.JSON {
	if jsonscan.IsString(value) {
		return value
	}
	return nil
}

func (c *reader) readBlock(raw dialect.JSON) (dialect.Part, *llmprovider.Error) {
	var p dialect.Part
	var b block
	b.readMembers(raw, &p.Cache)
	switch string(b.kind) {
	case "text":
		p.Kind, p.Text = dialect.Text, text(b.text)
		if p.Text == nil {
			return p, dialect.Invalid("messages[].content[].text", "a string")
		}
		if len(b.citations) > 2 && b.citations[0] == '[' {
			c.r.Loss.Drop(dialect.CCitations)
		}
	case "image":
		p.Kind, p.Media = dialect.Image, readSource(b.source)
		if p.Media == nil {
			return p, dialect.Invalid("messages[].content[].source", "a base64, url or file source")
		}
	case "document":
		return p, c.readDocument(&p, &b)
	case "search_result":
		return p, c.readSearchResult(&p, &b)
	case "thinking":
		p.Kind = dialect.Reasoning
		p.Thought = &dialect.Thought{Text: text(b.thinking), Signature: dialect.ReadCarrier(text(b.signature), Vendor)}
	case "redacted_thinking":
		p.Kind, p.Thought = dialect.Reasoning, &dialect.Thought{Data: dialect.ReadCarrier(text(b.data), Vendor)}
	case "tool_use", "tool_result":
		if c.depth > 1 {
			return p, dialect.Invalid("messages[].content[].content[].type", "text, image, document or search_result")
		}
		if string(b.kind) == "tool_result" {
			return p, c.readResult(&p, &b)
		}
		call := &dialect.ToolUse{ID: jsonscan.Text(b.id), Name: jsonscan.Text(b.name)}
		call.Arguments.Object = b.input
		if call.ID == "" || call.Name == "" || len(b.input) == 0 || b.input[0] != '{' {
			return p, dialect.Invalid("messages[].content[].tool_use", "a block with id, name and an object as input")
		}
		if c.calls == nil {
			c.calls = make(map[string]string)
		}
		c.calls[call.ID] = call.Name
		p.Kind, p.Call = dialect.ToolCall, call
	default:
		return p, c.r.Refuse(dialect.CText, "a content block of this type is for providers with the Messages API alone")
	}
	return p, nil
}

func (c *reader) readResult(p *dialect.Part, b *block) *llmprovider.Error {
	result := &dialect.Result{ID: jsonscan.Text(b.toolUseID), IsError: dialect.IsTrue(b.isError)}
	name, known := c.calls[result.ID]
	if !known {
		return dialect.Invalid("messages[].content[].tool_use_id", "the id of a tool_use block earlier in the conversation")
	}
	result.Name = name
	if b.content != nil {
		var err *llmprovider.Error
		if result.Parts, err = c.readContent(b.content, "messages[].content[].content"); err != nil {
			return err
		}
	}
	p.Kind, p.Result = dialect.ToolResult, result
	return nil
}

// readSource reads where an image or a document is.
func readSource(source dialect.JSON) *dialect.Media {
	switch string(jsonscan.Plain(jsonscan.Get(source, "type"))) {
	case "base64":
		data := dialect.StringOf(source, "data")
		if data == nil {
			return nil
		}
		return &dialect.Media{Type: jsonscan.Text(jsonscan.Get(source, "media_type")), Data: jsonscan.Plain(data)}
	case "url":
		if url := dialect.StringOf(source, "url"); url != nil {
			return &dialect.Media{URL: url}
		}
	case "file":
		if id := dialect.StringOf(source, "file_id"); id != nil {
			return &dialect.Media{FileID: id}
		}
	case "text":
		if text := dialect.StringOf(source, "data"); text != nil {
			return &dialect.Media{Type: "text/plain", Text: text}
		}
	}
	return nil
}

func (c *reader) readDocument(p *dialect.Part, b *block) *llmprovider.Error {
	p.Kind = dialect.Document
	if string(jsonscan.Plain(jsonscan.Get(b.source, "type"))) == "content" {
		text, err := c.joined(jsonscan.Get(b.source, "content"))
		if err != nil {
			return err
		}
		p.Media = &dialect.Media{Type: "text/plain", Text: text}
	} else if p.Media = readSource(b.source); p.Media == nil {
		return dialect.Invalid("messages[].content[].source", "a base64, text, url, content or file source")
	}
	p.Media.Title, p.Media.Context = text(b.title), text(b.context)
	if dialect.IsTrue(jsonscan.Get(b.citations, "enabled")) {
		c.r.Loss.Drop(dialect.CCitations)
	}
	return nil
}

// readSearchResult reads a search result as the text it is.
func (c *reader) readSearchResult(p *dialect.Part, b *block) *llmprovider.Error {
	found, err := c.joined(b.content)
	if err != nil {
		return err
	}
	c.r.Loss.Approximate(dialect.CText)
	p.Kind = dialect.Document
	p.Media = &dialect.Media{Type: "text/plain", Text: found, Title: text(b.title)}
	return nil
}

// joined returns the text of blocks as one JSON string.
func (c *reader) joined(content dialect.JSON) (dialect.JSON, *llmprovider.Error) {
	parts, err := c.readContent(content, "messages[].content[].content")
	if err != nil {
		return nil, err
	}
	out := []byte{'"'}
	for i := range parts {
		if parts[i].Kind != dialect.Text {
			return nil, c.r.Refuse(dialect.CDocument, "a document may be made of text alone")
		}
		if i > 0 {
			out = append(out, `\n`...)
		}
		out = append(out, jsonscan.Inner(parts[i].Text)...)
	}
	return append(out, '"'), nil
}
