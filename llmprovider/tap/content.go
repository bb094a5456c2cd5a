package tap

import (
	"strings"

	"github.com/tidwall/gjson"
)

// noteContent notes the first event with content.
func (t *eventTap) noteContent(content bool, kind string) {
	if content && !t.content {
		t.content, t.delta = true, strings.Contains(kind, "delta")
	}
}

// carriesContent reports whether an event's data has content for the client: text,
// reasoning, a tool call, audio, an image. A role, usage or the news that a
// response was created is none. kind is the type that the event names, if any.
func carriesContent(data []byte) (content bool, kind string) {
	if len(data) == 0 || isDone(data) {
		return false, ""
	}
	doc := gjson.ParseBytes(data)
	if !doc.IsObject() {
		return true, ""
	}
	if kind = doc.Get("type").Str; kind != "" {
		return hasContent(kind), kind
	}
	choices := doc.Get("choices")
	if !choices.Exists() {
		return !carriesError(data) && !doc.Get("usage").IsObject(), ""
	}
	choices.ForEach(func(_, choice gjson.Result) bool {
		content = hasValue(choice.Get("text"))
		for _, name := range [...]string{"delta", "message"} {
			choice.Get(name).ForEach(func(member, value gjson.Result) bool {
				content = content || member.Str != "role" && hasValue(value)
				return !content
			})
		}
		return !content
	})
	return content, ""
}

// hasValue reports whether a value is more than nothing.
func hasValue(v gjson.Result) bool {
	switch {
	case v.Type == gjson.String:
		return v.Str != ""
	case v.IsArray(), v.IsObject():
		return len(v.Raw) > 2
	}
	return false
}

// hasContent reports whether events of the kind carry content, in the Responses
// API, in Anthropic's and in the streams of audio and images.
func hasContent(kind string) bool {
	switch kind {
	case "content_block_delta", // Anthropic's
		"response.completed", "response.incomplete", "transcript.text.segment", "transcript.text.done", "image_generation.completed", "image_edit.completed":
		return true
	}
	return strings.Contains(kind, ".delta") || strings.Contains(kind, ".partial_image") || strings.HasSuffix(kind, "_text.done") || strings.HasSuffix(kind, "arguments.done")
}
