package gemini

import "github.com/caddy-llm/gateway/llmprovider/dialect"

// arrayStream cuts a stream that is one JSON array, as the API sends it without
// alt=sse, into its objects. The zero value is ready.
type arrayStream struct {
	depth    int // of the brackets that are open
	inString bool
	escaped  bool
	ended    bool
	buf      []byte // the object that has begun
}

// Read takes the next piece and calls f with each object, which is valid only during
// the call. It does not check what it passes on.
func (s *arrayStream) Read(p []byte, f func(object []byte) error) error {
	for _, c := range p {
		if s.ended {
			return nil
		}
		if s.depth > 1 {
			if s.buf = append(s.buf, c); len(s.buf) > dialect.MaxEvent {
				return dialect.ErrEventTooLong
			}
		}
		switch {
		case s.escaped:
			s.escaped = false
		case s.inString:
			s.escaped, s.inString = c == '\\', c != '"'
		case c == '"':
			s.inString = true
		case c == '{', c == '[':
			if s.depth++; s.depth == 2 {
				s.buf = append(s.buf[:0], c)
			}
		case c == '}', c == ']':
			switch s.depth--; s.depth {
			case 1:
				if err := f(s.buf); err != nil {
					return err
				}
			case 0:
				s.ended = true
			}
		}
	}
	return nil
}
