package capture

import (
	"errors"
	"io"
	"net"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/caddy-llm/gateway/internal/host"
)

// The lengths that HTTP/2 begins with (RFC 9113, sections 4.1 and 4.2): of the head of
// a frame, and of the longest frame before the server allows others.
const (
	frameHead = 9
	maxFrame  = 16 << 10
)

// scanHTTP2 looks at the first bytes of a connection that begins with the preface of
// HTTP/2, and reads the host of its first request. before is how many bytes come before
// that request. A request that cannot be read is one whose host is not clear.
func scanHTTP2(b []byte) (head requestHead, before int) {
	before = len(http2.ClientPreface)
	var block []byte
	for at, begun := before, false; ; {
		if len(b)-at < frameHead {
			return requestHead{kind: headWaiting}, before
		}
		size, kind, flags := int(b[at])<<16|int(b[at+1])<<8|int(b[at+2]), http2.FrameType(b[at+3]), http2.Flags(b[at+4])
		if size > maxFrame {
			return requestHead{kind: headUnclear}, before
		}
		if len(b)-at < frameHead+size {
			return requestHead{kind: headWaiting}, before
		}
		payload := b[at+frameHead : at+frameHead+size]
		at += frameHead + size
		switch {
		case kind == http2.FrameHeaders && !begun:
			var ok bool
			if payload, ok = withoutPadding(payload, flags); !ok {
				return requestHead{kind: headUnclear}, before
			}
			begun = true
		case kind != http2.FrameContinuation && begun, kind == http2.FrameContinuation && !begun:
			return requestHead{kind: headUnclear}, before
		case !begun: // of the connection
			before = at
			continue
		}
		block = append(block, payload...)
		if flags.Has(http2.FlagHeadersEndHeaders) { // the same bit for both kinds
			return hostOfBlock(block), before
		}
	}
}

// withoutPadding is what a HEADERS frame has beside padding and priority (RFC 9113,
// section 6.2).
func withoutPadding(payload []byte, flags http2.Flags) (block []byte, ok bool) {
	padding := 0
	if flags.Has(http2.FlagHeadersPadded) {
		if len(payload) < 1 {
			return nil, false
		}
		padding, payload = int(payload[0]), payload[1:]
	}
	if flags.Has(http2.FlagHeadersPriority) {
		if len(payload) < 5 {
			return nil, false
		}
		payload = payload[5:]
	}
	if padding > len(payload) {
		return nil, false
	}
	return payload[:len(payload)-padding], true
}

// hostOfBlock reads the host of a connection's first request. :authority and Host must
// not differ (RFC 9113, section 8.3.1).
func hostOfBlock(block []byte) requestHead {
	var hosts []string
	decoder := hpack.NewDecoder(4<<10, func(f hpack.HeaderField) {
		if (f.Name == ":authority" || strings.EqualFold(f.Name, "host")) && len(hosts) < 3 {
			hosts = append(hosts, f.Value)
		}
	})
	if _, err := decoder.Write(block); err != nil || decoder.Close() != nil || len(hosts) > 2 {
		return requestHead{kind: headUnclear}
	}
	switch len(hosts) {
	case 0:
		return requestHead{kind: headRequest2}
	case 2:
		a, okA := host.Name(hosts[0])
		b, okB := host.Name(hosts[1])
		if a != b || !okA || !okB {
			return requestHead{kind: headUnclear}
		}
	}
	return requestHead{headRequest2, hosts[0]}
}

// errServedLate ends a connection of HTTP/2 whose first request came when it had been
// passed on, and is for a host that is served.
var errServedLate = errors.New("the first request on a connection of HTTP/2 is for a host with a route, and came too late to be served; use HTTP/1.1, or send it without waiting for the server")

// passUntilRequest passes on what a client of HTTP/2 sends before its first request, and
// then that request as far as it was read, unless it is for a host that is served.
func (c *capturedConn) passUntilRequest(server io.Writer, served func(requestHead) bool) error {
	sent := 0
	for {
		head, before := scanHTTP2(c.first)
		waiting := head.kind == headWaiting
		if waiting && len(c.first) >= headSize || !waiting && served(head) {
			return errServedLate
		}
		if !waiting {
			before = len(c.first)
		}
		if before > sent {
			if _, err := server.Write(c.first[sent:before]); err != nil {
				return err
			}
			sent = before
		}
		if !waiting {
			c.first = nil
			return nil
		}
		more := make([]byte, 2<<10)
		n, err := c.TCPConn.Read(more)
		c.first = append(c.first, more[:n]...)
		switch {
		case n > 0:
		case errors.Is(err, io.EOF): // half a request, which nobody answers
			c.first = nil
			return nil
		case err != nil:
			return err
		}
	}
}

// Interface guards
var _ net.Conn = (*capturedConn)(nil)
