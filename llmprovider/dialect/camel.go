package dialect

import (
	"bytes"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// Google's APIs take the names of members in camel case and in snake case, as JSON of
// protocol buffers has them (https://protobuf.dev/programming-guides/json/).

// CamelName returns a member's name, given with its quotes, in camel case.
func CamelName(quoted []byte) []byte {
	text := jsonscan.Plain(quoted)
	if bytes.IndexByte(text, '_') < 0 {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '_' && i+1 < len(text) && 'a' <= text[i+1] && text[i+1] <= 'z' {
			i++
			out = append(out, text[i]-'a'+'A')
			continue
		}
		out = append(out, text[i])
	}
	return out
}

// GetCamel returns the member of that name in camel or in snake case, nil for one that is
// null or missing.
func GetCamel(object JSON, name string) JSON {
	for key, value := range jsonscan.Members(object) {
		if string(CamelName(key)) == name && !jsonscan.IsNull(value) {
			return value
		}
	}
	return nil
}

// CamelString returns that member if it is a string, else nil.
func CamelString(object JSON, name string) JSON {
	if v := GetCamel(object, name); jsonscan.IsString(v) {
		return v
	}
	return nil
}
