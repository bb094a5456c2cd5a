package llmprovider

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
	at := member{key: quote - len(usageName), val: skipSpace(event, colon+1)}
	if bytes.IndexByte(event[:at.key], '\n') >= 0 || bytes.IndexByte(event[:at.key], '\r') >= 0 {
		return span{}
	}
	i := skipValue(event, at.val)
	if i < 0 || !jsonscan.IsNull(event[at.val:i]) {
		return span{}
	}
	at.end = i
	for {
		if i = skipSpace(event, i); i == len(event) {
			return span{}
		}
		if event[i] == '}' {
			break
		}
		if i = passMember(event, i); i < 0 {
			return span{}
		}
	}
	if skipSpace(event, i+1) != len(event) {
		return span{}
	}
	cut := removal(event, at)
	return span{cut.start, cut.end}
}

// passMember returns the offset after the member that the comma at doc[i] begins,
// or -1 if there is none.
func passMember(doc []byte, i int) int {
	if doc[i] != ',' {
		return -1
	}
	i = skipSpace(doc, i+1)
	if i == len(doc) || doc[i] != '"' {
		return -1
	}
	i, ok := skipString(doc, i)
	if i = skipSpace(doc, i); !ok || i == len(doc) || doc[i] != ':' {
		return -1
	}
	value := skipSpace(doc, i+1)
	if i = skipValue(doc, value); i <= value {
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
	i := skipSpace(doc, 0)
	if i == len(doc) || doc[i] != '{' {
		return span{}
	}
	var null member
	for {
		key := skipSpace(doc, i+1)
		if key == len(doc) || doc[key] != '"' {
			return span{}
		}
		nameEnd, ok := skipString(doc, key)
		if !ok {
			return span{}
		}
		colon := skipSpace(doc, nameEnd)
		if colon == len(doc) || doc[colon] != ':' {
			return span{}
		}
		value := skipSpace(doc, colon+1)
		if i = skipValue(doc, value); i <= value {
			return span{}
		}
		if name, ok := memberName(doc[key:nameEnd]); ok && string(name) == "usage" {
			if null.present() || !jsonscan.IsNull(doc[value:i]) {
				return span{}
			}
			null = member{key, value, i}
		}
		if i = skipSpace(doc, i); i == len(doc) {
			return span{}
		}
		if doc[i] == ',' {
			continue
		}
		if doc[i] != '}' || skipSpace(doc, i+1) != len(doc) || !null.present() {
			return span{}
		}
		cut := removal(doc, null)
		return span{start + cut.start, start + cut.end}
	}
}
