package tap

import (
	"bytes"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// nullUsage finds the member "usage" of an event's data, with one of its commas,
// if it is null. Providers send it in every chunk before the one with usage, and
// some clients refuse what they did not ask for. Data in several lines is left as
// it is.
//
// colon is where prescan saw one, or -1 if all of the event is to be searched.
func nullUsage(event []byte, colon int) span {
	if colon >= 0 && bytes.HasPrefix(event, dataField) {
		return nullInTail(event, colon)
	}
	return nullInData(event)
}

// nullInTail looks at what follows: the member is one of the document's own if
// nothing but others and one brace does.
func nullInTail(event []byte, colon int) span {
	quote := colon - 1
	for isSpace(event[quote]) {
		quote--
	}
	for _, end := range [...]byte{'\n', '\r'} { // the rest of the line
		if n := bytes.IndexByte(event[colon:], end); n >= 0 {
			event = event[:colon+n]
		}
	}
	key, value := quote-len(usageName), jsonscan.AfterSpace(event, colon+1)
	if bytes.IndexByte(event[:key], '\n') >= 0 || bytes.IndexByte(event[:key], '\r') >= 0 {
		return span{}
	}
	i := jsonscan.AfterValue(event, value)
	if i < 0 || !jsonscan.IsNull(event[value:i]) {
		return span{}
	}
	end := i
	for {
		if i = jsonscan.AfterSpace(event, i); i == len(event) {
			return span{}
		}
		if event[i] == '}' {
			break
		}
		if i = passMember(event, i); i < 0 {
			return span{}
		}
	}
	if jsonscan.AfterSpace(event, i+1) != len(event) {
		return span{}
	}
	start, end := jsonscan.Removal(event, key, end)
	return span{start, end}
}

// passMember returns the offset after the member that the comma at doc[i] begins,
// or -1 if there is none.
func passMember(doc []byte, i int) int {
	if doc[i] != ',' {
		return -1
	}
	i = jsonscan.AfterSpace(doc, i+1)
	if i == len(doc) || doc[i] != '"' {
		return -1
	}
	i, ok := jsonscan.AfterString(doc, i)
	if i = jsonscan.AfterSpace(doc, i); !ok || i == len(doc) || doc[i] != ':' {
		return -1
	}
	value := jsonscan.AfterSpace(doc, i+1)
	if i = jsonscan.AfterValue(doc, value); i <= value {
		return -1
	}
	return i
}

// nullInData goes through the members of the document.
func nullInData(event []byte) span {
	start, end, ok := dataLine(event)
	if !ok {
		return span{}
	}
	doc := event[start:end]
	i := jsonscan.AfterSpace(doc, 0)
	if i == len(doc) || doc[i] != '{' {
		return span{}
	}
	var null span
	for {
		key := jsonscan.AfterSpace(doc, i+1)
		if key == len(doc) || doc[key] != '"' {
			return span{}
		}
		nameEnd, ok := jsonscan.AfterString(doc, key)
		if !ok {
			return span{}
		}
		colon := jsonscan.AfterSpace(doc, nameEnd)
		if colon == len(doc) || doc[colon] != ':' {
			return span{}
		}
		value := jsonscan.AfterSpace(doc, colon+1)
		if i = jsonscan.AfterValue(doc, value); i <= value {
			return span{}
		}
		if name, ok := jsonscan.MemberName(doc[key:nameEnd]); ok && string(name) == "usage" {
			if null.end > 0 || !jsonscan.IsNull(doc[value:i]) {
				return span{}
			}
			null = span{key, i}
		}
		if i = jsonscan.AfterSpace(doc, i); i == len(doc) {
			return span{}
		}
		if doc[i] == ',' {
			continue
		}
		if doc[i] != '}' || jsonscan.AfterSpace(doc, i+1) != len(doc) || null.end == 0 {
			return span{}
		}
		from, to := jsonscan.Removal(doc, null.start, null.end)
		return span{start + from, start + to}
	}
}
