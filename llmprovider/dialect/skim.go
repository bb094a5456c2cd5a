package dialect

// maxSkimmed is how much a skimmer leaves of a string, in bytes.
const maxSkimmed = 512

// skimmer shortens the long strings of a JSON document that comes in pieces: texts and
// media, which nobody needs who reads counts and reasons alone. What it leaves is JSON if
// the document is. The zero value is ready.
type skimmer struct {
	inString bool
	length   int  // of the string so far
	escape   int  // bytes of an escape that are still to come
	first    bool // the next one says which escape it is
	kept     bool // the escape is kept: whole, or not at all
}

// append appends what is left of the next piece.
func (s *skimmer) append(dst, p []byte) []byte {
	for i := 0; i < len(p); i++ {
		if s.inString && s.escape == 0 && s.length > maxSkimmed {
			for i < len(p) && p[i] != '"' && p[i] != '\\' {
				i++
			}
			if i == len(p) {
				break
			}
		}
		c, keep := p[i], true
		switch {
		case !s.inString:
			s.inString, s.length = c == '"', 0
		case s.escape > 0:
			if s.first && c == 'u' { // four digits follow
				s.escape = 5
			}
			s.escape--
			s.first, keep = false, s.kept
		case c == '"':
			s.inString = false
		default:
			s.length++
			if keep = s.length <= maxSkimmed; c == '\\' {
				s.escape, s.first, s.kept = 1, true, keep
			}
		}
		if keep {
			dst = append(dst, c)
		}
	}
	return dst
}
