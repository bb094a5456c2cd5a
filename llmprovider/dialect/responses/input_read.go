package responses

import (
	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// inputReader is what is known of a conversation while its items are read.
type inputReader struct {
	r     *dialect.Request
	calls map[string]*dialect.ToolUse // by call_id
}

func readInput(r *dialect.Request, input dialect.JSON) *llmprovider.Error {
	switch {
	case jsonscan.IsString(input):
		r.Turns = append(r.Turns, dialect.Turn{Role: dialect.User, Parts: []dialect.Part{{Kind: dialect.Text, Text: input}}})
		return nil
	case len(input) == 0 || input[0] != '[':
		return dialect.Invalid("input", "a string or an array of items")
	}
	c := inputReader{r: r}
	for item := range jsonscan.Elements(input) {
		if err := c.readItem(item); err != nil {
			return err
		}
	}
	return nil
}

func (c *inputReader) readItem(item dialect.JSON) *llmprovider.Error {
	switch string(jsonscan.Plain(jsonscan.Get(item, "type"))) {
	case "", "message":
		return c.readMessage(item)
	case "reasoning":
		c.readReasoning(item)
	case "function_call":
		return c.readCall(item, "arguments", false)
	case "custom_tool_call":
		return c.readCall(item, "input", true)
	case "function_call_output", "custom_tool_call_output":
		return c.readOutput(item)
	case "item_reference":
		return c.r.RefuseField("input[].item_reference", `it names an item that a provider keeps, and this model's provider keeps none; send the item itself, as SDKs do with "store": false`)
	default:
		return c.r.Refuse(dialect.CHostedTool, "an item of this type is for providers with the Responses API alone")
	}
	return nil
}

func (c *inputReader) readMessage(item dialect.JSON) *llmprovider.Error {
	parts, err := c.readContent(jsonscan.Get(item, "content"), "input[].content")
	if err != nil {
		return err
	}
	switch string(jsonscan.Plain(jsonscan.Get(item, "role"))) {
	case "user":
		c.r.Turns = append(c.r.Turns, dialect.Turn{Role: dialect.User, Parts: parts})
	case "system":
		c.r.Turns = append(c.r.Turns, dialect.Turn{Role: dialect.System, Parts: parts})
	case "developer":
		c.r.Turns = append(c.r.Turns, dialect.Turn{Role: dialect.Developer, Parts: parts})
	case "assistant":
		c.r.AddAssistant(parts...)
	default:
		return dialect.Invalid("input[].role", "user, assistant, system or developer")
	}
	return nil
}

func (c *inputReader) readContent(content dialect.JSON, field string) ([]dialect.Part, *llmprovider.Error) {
	switch {
	case jsonscan.IsString(content):
		return []dialect.Part{{Kind: dialect.Text, Text: content}}, nil
	case len(content) == 0 || content[0] != '[':
		return nil, dialect.Invalid(field, "a string or an array of parts")
	}
	var parts []dialect.Part
	for raw := range jsonscan.Elements(content) {
		var p dialect.Part
		if mark := jsonscan.Get(raw, "prompt_cache_breakpoint"); mark != nil && !jsonscan.IsNull(mark) {
			p.Cache = dialect.ReadTTL(mark)
		}
		switch string(jsonscan.Plain(jsonscan.Get(raw, "type"))) {
		case "input_text", "output_text", "text", "summary_text":
			p.Kind, p.Text = dialect.Text, dialect.StringOf(raw, "text")
			if notes := jsonscan.Get(raw, "annotations"); len(notes) > 2 && notes[0] == '[' {
				c.r.Loss.Drop(dialect.CCitations)
			}
		case "refusal":
			p.Kind, p.Text = dialect.Refusal, dialect.StringOf(raw, "refusal")
		case "input_image":
			p.Kind, p.Media = dialect.Image, readImage(raw)
		case "input_file":
			p.Kind, p.Media = dialect.Document, readFile(raw)
		case "input_audio":
			p.Kind, p.Media = dialect.Audio, dialect.ReadAudio(jsonscan.Get(raw, "input_audio"))
		default:
			return nil, dialect.Invalid(field+"[].type", "input_text, output_text, refusal, input_image or input_file")
		}
		if p.Text == nil && p.Media == nil {
			return nil, dialect.Invalid(field+"[]", "a part with its content")
		}
		parts = append(parts, p)
	}
	return parts, nil
}

func readImage(raw dialect.JSON) *dialect.Media {
	var m *dialect.Media
	if url := dialect.StringOf(raw, "image_url"); url != nil {
		m = dialect.ReadURL(url)
	} else if id := dialect.StringOf(raw, "file_id"); id != nil {
		m = &dialect.Media{FileID: id}
	} else {
		return nil
	}
	m.Detail = dialect.StringOf(raw, "detail")
	return m
}

func readFile(raw dialect.JSON) *dialect.Media {
	var m *dialect.Media
	switch data, url, id := dialect.StringOf(raw, "file_data"), dialect.StringOf(raw, "file_url"), dialect.StringOf(raw, "file_id"); {
	case data != nil:
		m = dialect.ReadFileData(data)
	case url != nil:
		m = &dialect.Media{URL: url}
	case id != nil:
		m = &dialect.Media{FileID: id}
	default:
		return nil
	}
	m.Name = dialect.StringOf(raw, "filename")
	return m
}

func (c *inputReader) readReasoning(item dialect.JSON) {
	t := &dialect.Thought{ID: dialect.StringOf(item, "id")}
	state := dialect.ReadCarrier(dialect.StringOf(item, "encrypted_content"), Vendor)
	text := joined(jsonscan.Get(item, "content"))
	if text == nil {
		text, t.Summary = joined(jsonscan.Get(item, "summary")), true
	}
	if t.Text = text; !state.Sealed && (text != nil || !state.From(Vendor)) {
		t.Signature = state
	} else {
		t.Data = state
	}
	c.r.AddAssistant(dialect.Part{Kind: dialect.Reasoning, Thought: t})
}

// joined returns the texts of parts as one JSON string, or nil without any.
func joined(parts dialect.JSON) dialect.JSON {
	var out []byte
	for part := range jsonscan.Elements(parts) {
		if out == nil {
			out = append(out, '"')
		} else {
			out = append(out, `\n\n`...)
		}
		out = append(out, jsonscan.Inner(jsonscan.Get(part, "text"))...)
	}
	if out == nil {
		return nil
	}
	return append(out, '"')
}

func (c *inputReader) readCall(item dialect.JSON, text string, custom bool) *llmprovider.Error {
	call := &dialect.ToolUse{
		ID: jsonscan.Text(jsonscan.Get(item, "call_id")), Name: jsonscan.Text(jsonscan.Get(item, "name")), Custom: custom,
		Arguments: dialect.Arguments{Text: dialect.StringOf(item, text)},
	}
	if call.ID == "" || call.Name == "" {
		return dialect.Invalid("input[].call_id", "the id of the call, beside its name")
	}
	call.Name = namespaced(jsonscan.Text(jsonscan.Get(item, "namespace")), call.Name)
	if c.calls == nil {
		c.calls = make(map[string]*dialect.ToolUse)
	}
	c.calls[call.ID] = call
	c.r.AddAssistant(dialect.Part{Kind: dialect.ToolCall, Call: call})
	return nil
}

func (c *inputReader) readOutput(item dialect.JSON) *llmprovider.Error {
	call := c.calls[jsonscan.Text(jsonscan.Get(item, "call_id"))]
	if call == nil {
		return dialect.Invalid("input[].call_id", "the call_id of a call earlier in the input")
	}
	parts, err := c.readContent(jsonscan.Get(item, "output"), "input[].output")
	if err != nil {
		return err
	}
	part := dialect.Part{Kind: dialect.ToolResult, Result: &dialect.Result{ID: call.ID, Name: call.Name, Parts: parts, Custom: call.Custom}}
	c.r.AddResult(part)
	return nil
}
