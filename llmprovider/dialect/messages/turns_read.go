package messages

import (
	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// reader is what is known of a conversation while it is read.
type reader struct {
	r     *dialect.Request
	calls map[string]string // the names of the tools called, by the calls' ids
}

func (c *reader) readMessages(messages dialect.JSON) *llmprovider.Error {
	if len(messages) == 0 || messages[0] != '[' {
		return dialect.Invalid("messages", "an array of messages")
	}
	for m := range jsonscan.Elements(messages) {
		var t dialect.Turn
		switch jsonscan.Text(jsonscan.Get(m, "role")) {
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
		if t.Parts, err = c.readContent(jsonscan.Get(m, "content"), "messages[].content"); err != nil {
			return err
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

func (c *reader) readBlock(raw dialect.JSON) (dialect.Part, *llmprovider.Error) {
	var p dialect.Part
	if cache := jsonscan.Get(raw, "cache_control"); cache != nil {
		p.Cache = dialect.ReadCache(cache)
	}
	switch jsonscan.Text(jsonscan.Get(raw, "type")) {
	case "text":
		p.Kind, p.Text = dialect.Text, dialect.StringOf(raw, "text")
		if p.Text == nil {
			return p, dialect.Invalid("messages[].content[].text", "a string")
		}
		if citations := jsonscan.Get(raw, "citations"); len(citations) > 2 && citations[0] == '[' {
			c.r.Loss.Drop(dialect.CCitations)
		}
	case "image":
		p.Kind, p.Media = dialect.Image, readSource(jsonscan.Get(raw, "source"))
		if p.Media == nil {
			return p, dialect.Invalid("messages[].content[].source", "a base64, url or file source")
		}
	case "document":
		return p, c.readDocument(&p, raw)
	case "search_result":
		return p, c.readSearchResult(&p, raw)
	case "thinking":
		p.Kind = dialect.Reasoning
		p.Thought = &dialect.Thought{Text: dialect.StringOf(raw, "thinking"), Signature: dialect.ReadCarrier(dialect.StringOf(raw, "signature"), Vendor)}
	case "redacted_thinking":
		p.Kind, p.Thought = dialect.Reasoning, &dialect.Thought{Data: dialect.ReadCarrier(dialect.StringOf(raw, "data"), Vendor)}
	case "tool_use":
		call := &dialect.ToolUse{ID: jsonscan.Text(jsonscan.Get(raw, "id")), Name: jsonscan.Text(jsonscan.Get(raw, "name"))}
		call.Arguments.Object = jsonscan.Get(raw, "input")
		if call.ID == "" || call.Name == "" || len(call.Arguments.Object) == 0 || call.Arguments.Object[0] != '{' {
			return p, dialect.Invalid("messages[].content[].tool_use", "a block with id, name and an object as input")
		}
		if c.calls == nil {
			c.calls = make(map[string]string)
		}
		c.calls[call.ID] = call.Name
		p.Kind, p.Call = dialect.ToolCall, call
	case "tool_result":
		return p, c.readResult(&p, raw)
	default:
		return p, c.r.Refuse(dialect.CText, "a content block of this type is for providers with the Messages API alone")
	}
	return p, nil
}

func (c *reader) readResult(p *dialect.Part, raw dialect.JSON) *llmprovider.Error {
	result := &dialect.Result{ID: jsonscan.Text(jsonscan.Get(raw, "tool_use_id")), IsError: dialect.IsTrue(jsonscan.Get(raw, "is_error"))}
	name, known := c.calls[result.ID]
	if !known {
		return dialect.Invalid("messages[].content[].tool_use_id", "the id of a tool_use block earlier in the conversation")
	}
	result.Name = name
	if content := jsonscan.Get(raw, "content"); content != nil && !jsonscan.IsNull(content) {
		var err *llmprovider.Error
		if result.Parts, err = c.readContent(content, "messages[].content[].content"); err != nil {
			return err
		}
	}
	p.Kind, p.Result = dialect.ToolResult, result
	return nil
}

// readSource reads where an image or a document is.
func readSource(source dialect.JSON) *dialect.Media {
	switch jsonscan.Text(jsonscan.Get(source, "type")) {
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

func (c *reader) readDocument(p *dialect.Part, raw dialect.JSON) *llmprovider.Error {
	p.Kind = dialect.Document
	source := jsonscan.Get(raw, "source")
	if jsonscan.Text(jsonscan.Get(source, "type")) == "content" {
		text, err := c.joined(jsonscan.Get(source, "content"))
		if err != nil {
			return err
		}
		p.Media = &dialect.Media{Type: "text/plain", Text: text}
	} else if p.Media = readSource(source); p.Media == nil {
		return dialect.Invalid("messages[].content[].source", "a base64, text, url, content or file source")
	}
	p.Media.Title, p.Media.Context = dialect.StringOf(raw, "title"), dialect.StringOf(raw, "context")
	if dialect.IsTrue(jsonscan.Get(jsonscan.Get(raw, "citations"), "enabled")) {
		c.r.Loss.Drop(dialect.CCitations)
	}
	return nil
}

// readSearchResult reads a search result as the text it is.
func (c *reader) readSearchResult(p *dialect.Part, raw dialect.JSON) *llmprovider.Error {
	text, err := c.joined(jsonscan.Get(raw, "content"))
	if err != nil {
		return err
	}
	c.r.Loss.Approximate(dialect.CText)
	p.Kind = dialect.Document
	p.Media = &dialect.Media{Type: "text/plain", Text: text, Title: dialect.StringOf(raw, "title")}
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
