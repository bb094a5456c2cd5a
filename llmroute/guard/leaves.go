package guard

import (
	"bytes"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmroute/guard/detect"
)

// leaves adds each string and number in value, names of members included, as a text by
// itself. It takes one pass and no recursion, whatever the nesting.
func (r *reader) leaves(value []byte, how how) {
	eachLeaf(value, func(leaf []byte) {
		first := len(r.pieces)
		at := r.offset(leaf)
		switch {
		case leaf[0] != '"' && r.response && how != asCall:
			return
		case leaf[0] != '"':
			r.b = append(r.b, leaf...)
			r.add(piece{start: len(r.b) - len(leaf), src: at, srcEnd: at + len(leaf), number: true})
		case how == asData && isData(leaf[1:len(leaf)-1]):
		case how == asJSON:
			r.nested(leaf)
			return
		case how == asCall && r.nested(leaf):
			return
		default:
			first = len(r.pieces) // after what may have been nested in it
			r.string(leaf)
		}
		r.endGroup(first)
	})
}

// eachLeaf calls f with each string, with its quotes, and each number in a valid value.
func eachLeaf(value []byte, f func(leaf []byte)) {
	for i := 0; i < len(value); {
		start := i
		switch c := value[i]; {
		case c == '"':
			for i++; value[i] != '"'; i++ {
				if value[i] == '\\' {
					i++
				}
			}
			i++
			f(value[start:i])
		case c == '-' || detect.IsDigit(c):
			for i++; i < len(value) && (detect.IsDigit(value[i]) || bytes.IndexByte([]byte(".eE+-"), value[i]) >= 0); i++ {
			}
			f(value[start:i])
		default:
			i++
		}
	}
}

// nested adds what is in a string that is JSON, each string and number by itself, and
// reports whether it is. One that is not, but has backslashes, is also added as if they
// were escapes: models read JSON that is cut off.
func (r *reader) nested(value []byte) bool {
	inner := value[1 : len(value)-1]
	if i := bytes.IndexFunc(inner, func(c rune) bool { return c > ' ' }); i < 0 || inner[i] != '{' && inner[i] != '[' && inner[i] != '\\' {
		return false
	}
	decoded := jsonscan.AppendUnescaped(nil, inner)
	start := bytes.TrimLeft(decoded, " \t\r\n")
	if len(start) == 0 || start[0] != '{' && start[0] != '[' {
		return false
	}
	at := r.offset(value)
	src, srcEnd := at+1, at+len(value)-1
	if !jsonscan.Valid(decoded) {
		if bytes.IndexByte(decoded, '\\') >= 0 {
			first := len(r.pieces)
			p := piece{start: len(r.b), src: src, srcEnd: srcEnd, to: len(decoded)}
			r.b = jsonscan.AppendUnescaped(r.b, decoded)
			r.add(p)
			r.endGroup(first)
		}
		return false
	}
	eachLeaf(decoded, func(leaf []byte) {
		first := len(r.pieces)
		from := cap(decoded) - cap(leaf)
		p := piece{start: len(r.b), src: src, srcEnd: srcEnd, from: from, to: from + len(leaf), number: leaf[0] != '"'}
		if !p.number {
			p.from, p.to = p.from+1, p.to-1
			leaf = leaf[1 : len(leaf)-1]
		}
		r.b = jsonscan.AppendUnescaped(r.b, leaf)
		r.add(p)
		r.endGroup(first)
	})
	return true
}

// minData is the length from which base64 is taken for data, in bytes.
const minData = 256

// isData reports whether a string is data that is no text: base64 throughout, which is
// long or a data URL (RFC 2397). Nothing that could be read hides in it.
func isData(inner []byte) bool {
	least := minData
	if len(inner) > 5 && bytes.EqualFold(inner[:5], []byte("data:")) {
		head, data, found := bytes.Cut(inner, []byte(";base64,"))
		if !found || len(head) > 64 || bytes.IndexByte(head, ' ') >= 0 {
			return false
		}
		least, inner = 0, data
	}
	return len(inner) >= least && isBase64(inner)
}

// isBase64 reports whether a text has only what base64 has.
func isBase64(inner []byte) bool {
	for _, c := range inner {
		if !detect.IsLetter(c) && !detect.IsDigit(c) && c != '+' && c != '/' && c != '=' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
