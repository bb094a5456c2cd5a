package llmroute

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"time"
)

// requestHead is what the first bytes of a connection are.
type requestHead struct {
	kind headKind
	host string // may be empty
}

type headKind int

const (
	headUnknown headKind = iota // too little to tell
	headOther                   // not HTTP/1
	headNoHost                  // an HTTP/1 request whose host has not come yet
	headRequest                 // an HTTP/1 request with its host, or without one
	headConnect                 // one for a tunnel to host
)

// isHTTP tells whether a server of HTTP/1 is to have it. A tunnel is none to
// look into if it goes through a proxy elsewhere.
func (h requestHead) isHTTP() bool { return h.kind == headRequest || h.kind == headNoHost }

// readHead reads as much as it takes to know what the client wants, or until it
// is clear that the client does not say. A client that has left is an error.
func (c *capturedConn) readHead() (requestHead, error) {
	began := time.Now()
	limit := silentTime
	buffer := c.first
	for {
		head := scanHead(buffer)
		c.first = buffer
		if head.kind != headUnknown && head.kind != headNoHost || len(buffer) >= headSize {
			_ = c.SetReadDeadline(time.Time{})
			return head, nil
		}
		if len(buffer) > 0 {
			limit = headTime
		}
		_ = c.SetReadDeadline(began.Add(limit))
		if len(buffer) == cap(buffer) {
			buffer = append(make([]byte, 0, max(2<<10, 2*cap(buffer))), buffer...)
		}
		n, err := c.TCPConn.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		var timeout net.Error
		switch {
		case n > 0 || err == nil:
		case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, io.EOF):
			// At the end of what the client sends it may still wait for an answer.
			_ = c.SetReadDeadline(time.Time{})
			return head, nil
		default:
			return head, err
		}
	}
}

// skipHead drops the head of the request, read to its end.
func (c *capturedConn) skipHead() error {
	_ = c.SetReadDeadline(time.Now().Add(headTime))
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	for {
		if i := bytes.Index(c.first, []byte("\r\n\r\n")); i >= 0 {
			c.first = c.first[i+4:]
			return nil
		}
		if len(c.first) >= headSize {
			return errors.New("the head of a CONNECT request is too large")
		}
		more := make([]byte, 2<<10)
		n, err := c.TCPConn.Read(more)
		if n == 0 && err != nil {
			return err
		}
		c.first = append(c.first, more[:n]...)
	}
}

// maxMethod is longer than any method in use.
const maxMethod = 32

// scanHead looks at the first bytes of a connection. It tells as early as it can
// that they are no HTTP/1 request, since others may wait for an answer to less
// than a line.
func scanHead(b []byte) requestHead {
	line, rest, whole := bytes.Cut(b, []byte("\n"))
	method, after, spaced := bytes.Cut(line, []byte(" "))
	if len(method) > maxMethod || len(method) == 0 && len(line) > 0 || !isToken(method) {
		return requestHead{kind: headOther}
	}
	target, version, spacedTwice := bytes.Cut(after, []byte(" "))
	for _, c := range target {
		if c <= ' ' || c == 0x7f {
			return requestHead{kind: headOther}
		}
	}
	switch {
	case !whole && !spacedTwice:
		return requestHead{kind: headUnknown}
	case !whole && isVersion(version, true):
		return requestHead{kind: headUnknown}
	case !spaced || !spacedTwice || len(target) == 0 || !whole || !isVersion(version, false):
		return requestHead{kind: headOther}
	}
	if string(method) == "CONNECT" {
		return requestHead{headConnect, string(target)}
	}
	if _, authority, ok := strings.Cut(string(target), "://"); ok && target[0] != '/' {
		// The absolute form of a target rules over the Host field (RFC 9112, section
		// 3.2.2).
		authority, _, _ = strings.Cut(authority, "/")
		authority, _, _ = strings.Cut(authority, "?")
		return requestHead{headRequest, authority[strings.LastIndexByte(authority, '@')+1:]}
	}
	for {
		line, rest, whole = bytes.Cut(rest, []byte("\n"))
		if !whole {
			return requestHead{kind: headNoHost}
		}
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			return requestHead{kind: headRequest}
		}
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(name, []byte("host")) {
			return requestHead{headRequest, string(bytes.TrimSpace(value))}
		}
	}
}

// isVersion tells whether text is the version of HTTP/1 at the end of a request
// line, or may become it.
func isVersion(text []byte, part bool) bool {
	for _, version := range []string{"HTTP/1.1\r", "HTTP/1.0\r"} {
		if part && strings.HasPrefix(version, string(text)) || string(text)+"\r" == version || string(text) == version {
			return true
		}
	}
	return false
}

// isToken tells whether text is a token as RFC 9110 has it in section 5.6.2.
func isToken(text []byte) bool {
	for _, c := range text {
		switch {
		case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return true
}
