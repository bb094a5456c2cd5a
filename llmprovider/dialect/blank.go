package dialect

import (
	"bytes"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// IsBlank reports whether a text has nothing but space, which some APIs refuse. text is a
// JSON string; another value and nil are blank.
func IsBlank(text JSON) bool { return isBlank(jsonscan.Inner(text)) }

// isBlank is IsBlank of what is between the quotes.
func isBlank(inner []byte) bool {
	inner = bytes.TrimSpace(inner)
	if len(inner) == 0 || inner[0] != '\\' {
		return len(inner) == 0
	}
	return len(bytes.TrimSpace(jsonscan.AppendUnescaped(nil, inner))) == 0
}
