package capture

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// requestHead is what the first bytes of a connection are.
type requestHead struct {
	kind headKind
	host string // may be empty
}

type headKind int

const (
	headUnknown  headKind = iota // too little to tell
	headOther                    // not HTTP
	headNoHost                   // an HTTP/1 request whose host has not come yet
	headHost                     // one with its host, of whose head more is to come
	headRequest                  // one with its host, or without one
	headUnclear                  // one whose host can be read in several ways, or by some servers only
	headConnect                  // one for a tunnel to host
	headWaiting                  // HTTP/2 without a request so far
	headRequest2                 // HTTP/2 with a request
)

// isHTTP reports whether a server of HTTP is to have it. A tunnel is none to
// look into if it goes through a proxy elsewhere.
func (h requestHead) isHTTP() bool {
	return h.kind != headUnknown && h.kind != headOther && h.kind != headConnect
}

// isHTTP1 reports whether a response of HTTP/1 would be understood.
func (h requestHead) isHTTP1() bool {
	return h.isHTTP() && h.kind != headWaiting && h.kind != headRequest2
}

// isWhole reports whether nothing that follows can change it.
func (h requestHead) isWhole() bool {
	switch h.kind {
	case headUnknown, headNoHost, headHost, headWaiting:
		return false
	}
	return true
}

// readHead reads as much as it takes to know what the client wants, or until it
// is clear that the client does not say. A client that has left is an error.
func (c *capturedConn) readHead() (requestHead, error) {
	end := time.Now().Add(silentTime)
	limit := time.Now().Add(headTime)
	buffer := c.first
	for waiting := false; ; {
		head := scanHead(buffer)
		c.first = buffer
		if head.isWhole() || len(buffer) >= headSize {
			_ = c.SetReadDeadline(time.Time{})
			return head.atTheEnd(buffer), nil
		}
		switch {
		case head.kind == headWaiting && !waiting:
			waiting, end = true, time.Now().Add(waitingTime)
		case len(buffer) > 0 && !waiting:
			end = limit
		}
		_ = c.SetReadDeadline(end)
		if len(buffer) == cap(buffer) {
			buffer = append(make([]byte, 0, max(2<<10, 2*cap(buffer))), buffer...)
		}
		n, err := c.TCPConn.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		var timeout net.Error
		switch {
		case n > 0 || err == nil:
		case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, io.EOF):
			// At the end of what the client sends it may still wait for a response.
			_ = c.SetReadDeadline(time.Time{})
			return head.atTheEnd(buffer), nil
		default:
			return head, err
		}
	}
}

// atTheEnd is what a head is taken for of which nothing more is waited for. What began
// like a request must not leave the pod because it is slow or long.
func (h requestHead) atTheEnd(b []byte) requestHead {
	switch h.kind {
	case headHost:
		h.kind = headRequest
	case headUnknown:
		if _, after, spaced := bytes.Cut(b[lineBreaks(b):], []byte(" ")); spaced && (bytes.HasPrefix(after, []byte("/")) || bytes.HasPrefix(after, []byte("http"))) {
			h.kind = headNoHost
		}
	}
	return h
}

// trimFirst drops the empty lines before a request, which a server may ignore (RFC
// 9112, section 2.2) and net/http does not.
func (c *capturedConn) trimFirst() { c.first = c.first[lineBreaks(c.first):] }

// lineBreaks is the length of the empty lines that b begins with.
func lineBreaks(b []byte) int { return len(b) - len(bytes.TrimLeft(b, "\r\n")) }

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

// scanHead looks at the first bytes of a connection. It tells as early as it can that
// they are no HTTP request. It takes for one what a lenient server might, such as one
// with spaces too many or an unknown version of HTTP: if it is for a host that is
// served, the gateway has to refuse it.
func scanHead(b []byte) requestHead {
	if bytes.HasPrefix(b, []byte(http2.ClientPreface)) {
		head, _ := scanHTTP2(b)
		return head
	}
	b = b[lineBreaks(b):]
	line, rest, whole := bytes.Cut(b, []byte("\n"))
	method, after, spaced := bytes.Cut(line, []byte(" "))
	if len(method) > maxMethod || len(method) == 0 && len(line) > 0 || !isToken(bytes.TrimSuffix(method, []byte("\r"))) {
		return requestHead{kind: headOther}
	}
	for _, c := range after {
		if c < ' ' && c != '\t' && c != '\r' || c == 0x7f {
			return requestHead{kind: headOther}
		}
	}
	words := bytes.Fields(after)
	switch {
	case !whole, bytes.HasPrefix([]byte(http2.ClientPreface), b):
		return requestHead{kind: headUnknown}
	case !spaced || len(words) == 0 || !isVersion(words[len(words)-1]):
		return requestHead{kind: headOther}
	}
	target := string(words[0])
	if string(method) == "CONNECT" {
		return requestHead{headConnect, target}
	}
	if _, authority, ok := strings.Cut(target, "://"); ok && target[0] != '/' {
		// The absolute form of a target rules over the Host field (RFC 9112, section
		// 3.2.2).
		authority, _, _ = strings.Cut(authority, "/")
		authority, _, _ = strings.Cut(authority, "?")
		return requestHead{headRequest, authority[strings.LastIndexByte(authority, '@')+1:]}
	}
	return scanFields(rest)
}

// scanFields reads the host among the fields of an HTTP/1 request. It is not clear if
// there are several, or if it is written as some servers take it and others do not (RFC
// 9112, sections 2.2, 3.2 and 5).
func scanFields(rest []byte) requestHead {
	head, found, unclear, ofHost := requestHead{kind: headNoHost}, false, false, false
	for {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		if !whole {
			return head
		}
		rest = after
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			break
		}
		folded := line[0] == ' ' || line[0] == '\t'
		name, value, _ := bytes.Cut(line, []byte(":"))
		isHost := bytes.EqualFold(bytes.TrimSpace(name), []byte("host"))
		unclear = unclear || bytes.IndexByte(line, '\r') >= 0 || folded && (ofHost || isHost) || isHost && (found || !bytes.EqualFold(name, []byte("host")))
		if ofHost = isHost || folded && ofHost; isHost && !found {
			head, found = requestHead{headHost, string(bytes.TrimSpace(value))}, true
		}
	}
	if unclear {
		return requestHead{kind: headUnclear}
	}
	head.kind = headRequest
	return head
}

// isVersion reports whether text is at the end of a request line of HTTP, whatever the
// version.
func isVersion(text []byte) bool {
	return len(text) > 5 && bytes.EqualFold(text[:5], []byte("HTTP/"))
}

// isToken reports whether text is a token as RFC 9110 has it in section 5.6.2.
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
