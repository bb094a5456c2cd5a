package chat

import (
	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

func (c *conversation) readContent(content dialect.JSON) ([]dialect.Part, *llmprovider.Error) {
	switch {
	case content == nil:
		return nil, nil
	case jsonscan.IsString(content):
		return []dialect.Part{{Kind: dialect.Text, Text: content}}, nil
	case content[0] != '[':
		return nil, dialect.Invalid("messages[].content", "a string or an array of parts")
	}
	var parts []dialect.Part
	for raw := range jsonscan.Elements(content) {
		p, err := c.readPart(raw)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return parts, nil
}

func (c *conversation) readPart(raw dialect.JSON) (dialect.Part, *llmprovider.Error) {
	var p dialect.Part
	kind, cache := "", dialect.JSON(nil)
	for name, v := range jsonscan.Members(raw) {
		switch {
		case jsonscan.NameIs(name, "type"):
			kind = jsonscan.Text(v)
		case jsonscan.NameIs(name, "cache_control"):
			cache = v
		case jsonscan.NameIs(name, "prompt_cache_breakpoint"):
			p.Cache = dialect.ReadTTL(v)
		}
	}
	if cache != nil {
		p.Cache = dialect.ReadCache(cache)
	}
	switch kind {
	case "text":
		p.Kind, p.Text = dialect.Text, dialect.StringOf(raw, "text")
	case "refusal":
		p.Kind, p.Text = dialect.Refusal, dialect.StringOf(raw, "refusal")
	case "thinking": // Mistral
		p.Kind, p.Thought = dialect.Reasoning, &dialect.Thought{Text: readThinking(jsonscan.Get(raw, "thinking"))}
		return p, nil
	case "image_url":
		image := jsonscan.Get(raw, "image_url")
		p.Kind, p.Media = dialect.Image, dialect.ReadURL(dialect.StringOf(image, "url"))
		if p.Media != nil {
			p.Media.Detail = dialect.StringOf(image, "detail")
		}
	case "video_url":
		p.Kind, p.Media = dialect.Video, dialect.ReadURL(dialect.StringOf(jsonscan.Get(raw, "video_url"), "url"))
	case "input_audio":
		p.Kind, p.Media = dialect.Audio, dialect.ReadAudio(jsonscan.Get(raw, "input_audio"))
	case "file":
		p.Kind, p.Media = dialect.Document, readFile(jsonscan.Get(raw, "file"))
	default:
		return p, dialect.Invalid("messages[].content[].type", "text, image_url, input_audio, file, video_url or refusal")
	}
	if p.Text == nil && p.Media == nil {
		return p, dialect.Invalid("messages[].content[]", "a part with its content")
	}
	return p, nil
}

// readThinking returns the text of Mistral's thinking part, whose content is a list
// of text parts.
func readThinking(value dialect.JSON) dialect.JSON {
	if jsonscan.IsString(value) {
		return value
	}
	out := []byte{'"'}
	for part := range jsonscan.Elements(value) {
		out = append(out, jsonscan.Inner(jsonscan.Get(part, "text"))...)
	}
	return append(out, '"')
}

func readFile(file dialect.JSON) *dialect.Media {
	var m *dialect.Media
	switch data, id := dialect.StringOf(file, "file_data"), dialect.StringOf(file, "file_id"); {
	case data != nil:
		m = dialect.ReadFileData(data)
	case id != nil:
		m = &dialect.Media{FileID: id}
	default:
		return nil
	}
	m.Name = dialect.StringOf(file, "filename")
	return m
}
