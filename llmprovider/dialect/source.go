package dialect

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// What the readers of requests have in common.

// StringOf returns a member if it is a string, else nil.
func StringOf(object JSON, name string) JSON {
	if v := jsonscan.Get(object, name); jsonscan.IsString(v) {
		return v
	}
	return nil
}

// IsTrue reports whether a value is true.
func IsTrue(value JSON) bool { return string(value) == "true" }

// Flag returns whether a value is true, in its own memory.
func Flag(value JSON) *bool {
	b := IsTrue(value)
	return &b
}

// ReadCache reads a cache marker as Anthropic's API has it and others took it over. It
// returns nil for one that is not known.
func ReadCache(value JSON) *Cache {
	if string(jsonscan.Plain(jsonscan.Get(value, "type"))) != "ephemeral" {
		return nil
	}
	return ReadTTL(value)
}

// ReadTTL reads a cache marker's lifetime.
func ReadTTL(value JSON) *Cache {
	return &Cache{TTL: Lifetime(jsonscan.Text(jsonscan.Get(value, "ttl")))}
}

// ReadURL reads a URL or a data URL (RFC 2397) in base64. It returns nil for nil.
func ReadURL(url JSON) *Media {
	inner := jsonscan.Inner(url)
	if url == nil {
		return nil
	}
	if len(inner) < 5 || !strings.EqualFold(string(inner[:5]), "data:") {
		return &Media{URL: url}
	}
	head, data, found := bytes.Cut(jsonscan.Plain(url)[5:], []byte{','})
	media, isBase64 := bytes.CutSuffix(head, []byte(";base64"))
	if !found || !isBase64 {
		return &Media{URL: url}
	}
	media, _, _ = bytes.Cut(media, []byte{';'})
	return &Media{Type: strings.ToLower(string(media)), Data: data}
}

// ReadFileData reads a file's content: a data URL, or base64 alone, which is a PDF.
func ReadFileData(data JSON) *Media {
	if m := ReadURL(data); m.Data != nil {
		return m
	}
	return &Media{Type: "application/pdf", Data: jsonscan.Plain(data)}
}

// ReadAudio reads a sound as OpenAI's APIs have it: {"data": …, "format": …}. It
// returns nil for one without data.
func ReadAudio(audio JSON) *Media {
	data := StringOf(audio, "data")
	if data == nil {
		return nil
	}
	return &Media{Type: "audio/" + jsonscan.Text(jsonscan.Get(audio, "format")), Data: jsonscan.Plain(data)}
}

// PlacedID is the id of a call in a conversation that has none: from its place, so that
// the same conversation gives the same id.
func PlacedID(turn, call int) string {
	return "call_" + strconv.Itoa(turn) + "_" + strconv.Itoa(call)
}

// AddAssistant adds parts of the model's turn: those that follow each other are one turn,
// as results must follow all calls of a turn in some APIs.
func (r *Request) AddAssistant(parts ...Part) {
	if n := len(r.Turns); n > 0 && r.Turns[n-1].Role == Assistant {
		r.Turns[n-1].Parts = append(r.Turns[n-1].Parts, parts...)
		return
	}
	r.Turns = append(r.Turns, Turn{Role: Assistant, Parts: parts})
}

// AddResult adds a tool's result to the conversation: those that follow each other
// are one turn.
func (r *Request) AddResult(p Part) {
	if n := len(r.Turns); n > 0 && r.Turns[n-1].Role == User && onlyResults(r.Turns[n-1].Parts) {
		r.Turns[n-1].Parts = append(r.Turns[n-1].Parts, p)
		return
	}
	r.Turns = append(r.Turns, Turn{Role: User, Parts: []Part{p}})
}

func onlyResults(parts []Part) bool {
	for i := range parts {
		if parts[i].Kind != ToolResult {
			return false
		}
	}
	return len(parts) > 0
}

// ChoiceWord is a tool choice that OpenAI's APIs have as a word. It is 0 for another
// one.
func ChoiceWord(value JSON) ChoiceMode {
	switch string(jsonscan.Plain(value)) {
	case "auto":
		return ChoiceAuto
	case "required", "any":
		return ChoiceAny
	case "none":
		return ChoiceNone
	}
	return 0
}
