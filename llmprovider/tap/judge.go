package tap

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
)

// Verdict is what is wrong with a response of status 2xx, empty if nothing is.
type Verdict string

// What a response can be that is none.
const (
	IsEmpty   Verdict = "nothing"
	IsPage    Verdict = "an HTML page"
	IsError   Verdict = "an error alone"
	NoChoices Verdict = "no choices"
)

// Judge returns what looks at the beginning of a response of that endpoint: data is what has come, all that it is the whole. It is certain as soon
// as there is something for the client. Judge returns nil for a response that cannot
// be read.
func Judge(res *http.Response, e llmprovider.Endpoint) func(data []byte, all bool) (v Verdict, certain bool) {
	media := llmprovider.MediaType(res.Header)
	switch {
	case llmprovider.Compressed(res.Header):
		return nil
	case media == "text/html":
		return func([]byte, bool) (Verdict, bool) { return IsPage, true }
	case media == "", media == "application/json", media == "text/event-stream", media == "text/plain", strings.HasSuffix(media, "+json"):
		return func(data []byte, all bool) (Verdict, bool) { return judgeText(data, all, e) }
	}
	return func(data []byte, all bool) (Verdict, bool) { // audio and the like
		if len(data) > 0 {
			return "", true
		}
		return IsEmpty, all
	}
}

// judgeText judges JSON, events or other text.
func judgeText(data []byte, all bool, e llmprovider.Endpoint) (Verdict, bool) {
	if len(data) < len(byteOrderMark) && !all && bytes.HasPrefix(byteOrderMark, data) {
		return "", false
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(data, byteOrderMark), " \t\r\n")
	switch {
	case len(text) == 0 && e.Operation == llmprovider.Audio: // the transcript of silence
		return "", all
	case len(text) == 0:
		return IsEmpty, all
	case text[0] == '{':
		return judgeObject(text, all, e)
	case text[0] == '<' && e.Operation != llmprovider.Audio: // a transcript may begin so
		return judgePage(text, all)
	}
	return judgeEvents(text, all)
}

// pages is what documents begin with that a web server sends in place of an API's.
var pages = [...]string{"<!doctype", "<html", "<head", "<body", "<?xml", "<!--"}

func judgePage(text []byte, all bool) (Verdict, bool) {
	for _, begin := range pages {
		n := min(len(begin), len(text))
		if strings.EqualFold(string(text[:n]), begin[:n]) && (n == len(begin) || !all) {
			return IsPage, n == len(begin)
		}
	}
	return "", true
}

// judgeObject judges the beginning of a JSON object. Content is in "choices" where
// the operation has them; where it has none, anything beside an error is.
func judgeObject(text []byte, all bool, e llmprovider.Endpoint) (Verdict, bool) {
	hasChoices := e.API == llmprovider.OpenAIAPI && (e.Operation == llmprovider.Chat || e.Operation == llmprovider.TextCompletion) &&
		e.Suffix != llmprovider.ResponsesSuffix // where requests in another API may go
	failed, any := false, false
	i := jsonscan.AfterSpace(text, 1)
	for i < len(text) && text[i] != '}' {
		end, ok := jsonscan.AfterString(text, i)
		if text[i] != '"' || !ok {
			return "", all
		}
		name, _ := jsonscan.MemberName(text[i:end])
		if i = jsonscan.AfterSpace(text, end); i == len(text) || text[i] != ':' {
			return "", all
		}
		start := jsonscan.AfterSpace(text, i+1)
		any = true
		if hasChoices && string(name) == "choices" && start < len(text) && text[start] == '[' {
			first := jsonscan.AfterSpace(text, start+1)
			if first == len(text) {
				return "", all
			}
			if text[first] != ']' {
				return "", true
			}
		}
		if i = jsonscan.AfterValue(text, start); i <= start {
			return "", all
		}
		value := text[start:i]
		failed = failed || string(name) == "error" && tellsError(value) || string(name) == "object" && string(value) == `"error"` // vLLM
		if i = jsonscan.AfterSpace(text, i); i < len(text) && text[i] == ',' {
			i = jsonscan.AfterSpace(text, i+1)
		}
	}
	switch {
	case i == len(text):
		return "", all // it goes on, or is cut off
	case failed:
		return IsError, true
	case !any:
		return IsEmpty, true
	case hasChoices:
		return NoChoices, true
	}
	return "", true
}

// FirstData returns the JSON in which a response begins with an error: the response
// itself, or the data of its first event that has some.
func FirstData(response []byte) []byte {
	text := bytes.TrimLeft(bytes.TrimPrefix(response, byteOrderMark), " \t\r\n")
	if len(text) > 0 && text[0] == '{' {
		return text
	}
	for len(text) > 0 {
		n := new(lines).next(text)
		if n < 0 {
			n = len(text)
		}
		if data := eventData(text[:n]); len(data) > 0 {
			return data
		}
		text = text[n:]
	}
	return nil
}

// tellsError reports whether the value of a member "error" says that there is one.
func tellsError(value []byte) bool {
	switch string(value) {
	case "null", "false", `""`, "{}", "0":
		return false
	}
	return true
}

// judgeEvents judges the beginning of a stream by its first event with data. A
// comment is something for the client as well: it keeps connections alive.
func judgeEvents(text []byte, all bool) (Verdict, bool) {
	for len(text) > 0 && text[0] != ':' {
		n := new(lines).next(text)
		if n < 0 {
			if !all {
				return "", false
			}
			n = len(text)
		}
		event := text[:n]
		text = bytes.TrimLeft(text[n:], "\r\n")
		data := bytes.TrimSpace(eventData(event))
		switch field, _, _ := bytes.Cut(event, []byte(":")); {
		case bytes.HasPrefix(event, []byte("event: error")), bytes.HasPrefix(event, []byte("event:error")):
			return IsError, true
		case string(data) == "[DONE]":
			return IsEmpty, true
		case len(data) > 0:
			return judgeEvent(data), true
		case string(field) != "event" && string(field) != "id" && string(field) != "retry" && string(field) != "data":
			return "", true // no events
		}
	}
	if len(text) > 0 {
		return "", true
	}
	return IsEmpty, all
}

func judgeEvent(data []byte) Verdict {
	kind := gjson.GetBytes(data, "type").Str
	if kind == "error" || kind == "response.failed" || gjson.GetBytes(data, "object").Str == "error" {
		return IsError
	}
	if e := gjson.GetBytes(data, "error"); e.Exists() && tellsError([]byte(e.Raw)) && !gjson.GetBytes(data, "choices.0").Exists() {
		return IsError
	}
	return ""
}
