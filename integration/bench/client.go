package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// requestTimeout bounds one request and its response.
const requestTimeout = 30 * time.Second

// client is one keep-alive connection. It does as little as an HTTP/1.1 client
// can, because it takes its CPU time from the processes it measures.
type client struct {
	conn   net.Conn
	r      *bufio.Reader
	chunks int // received so far, the empty one at the end included
}

// timing is how long a response took, from before the request was written.
type timing struct {
	first time.Duration // to the first bytes of the body
	whole time.Duration
}

func dial(ctx context.Context, address string) (*client, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, r: bufio.NewReaderSize(conn, 32<<10)}, nil
}

func (c *client) close() { c.conn.Close() }

// do sends a whole request, head and body, and checks the response.
func (c *client) do(request []byte, want *answer) (t timing, err error) {
	began := time.Now()
	if err := c.send(request, began.Add(requestTimeout)); err != nil {
		return t, err
	}
	chunked, length, err := c.head(want)
	if err != nil {
		return t, err
	}
	check := checker{want: want}
	take := func(n int) error { // checks the next n bytes
		for n > 0 {
			p, err := c.peek(n)
			if err != nil {
				return fmt.Errorf("after %d of %d bytes of the response: %w", check.got, want.size, err)
			}
			if t.first == 0 {
				t.first = time.Since(began)
			}
			if err := check.take(p); err != nil {
				return err
			}
			_, _ = c.r.Discard(len(p))
			n -= len(p)
		}
		return nil
	}
	if chunked {
		err = c.body(take)
	} else {
		err = take(length)
	}
	if err == nil {
		err = check.end()
	}
	t.whole = time.Since(began)
	return t, err
}

// open sends a request and reads the head and the first chunk of its response.
func (c *client) open(request []byte, want *answer) error {
	if err := c.send(request, time.Now().Add(requestTimeout)); err != nil {
		return err
	}
	chunked, _, err := c.head(want)
	if err != nil {
		return err
	}
	if !chunked {
		return errors.New("the stream has a Content-Length")
	}
	_, err = c.r.ReadSlice('\n')
	return err
}

func (c *client) send(request []byte, deadline time.Time) error {
	if err := c.conn.SetDeadline(deadline); err != nil {
		return err
	}
	_, err := c.conn.Write(request)
	return err
}

// peek returns between 1 and n bytes that have arrived.
func (c *client) peek(n int) ([]byte, error) {
	if c.r.Buffered() == 0 {
		if _, err := c.r.Peek(1); err != nil {
			return nil, err
		}
	}
	return c.r.Peek(min(n, c.r.Buffered()))
}

var (
	statusOK         = []byte("HTTP/1.1 200 OK\r\n")
	contentLength    = []byte("content-length")
	contentType      = []byte("content-type")
	transferEncoding = []byte("transfer-encoding")
	connection       = []byte("connection")
)

// head reads the status and the headers.
func (c *client) head(want *answer) (chunked bool, length int, err error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return false, 0, fmt.Errorf("reading the response's status: %w", err)
	}
	if !bytes.Equal(line, statusOK) {
		status := string(bytes.TrimSpace(line))
		rest, _ := c.r.Peek(c.r.Buffered())
		return false, 0, fmt.Errorf("the response is %q: %.600q", status, rest)
	}
	length = -1
	var media string
	for {
		if line, err = c.r.ReadSlice('\n'); err != nil {
			return false, 0, fmt.Errorf("reading the response's headers: %w", err)
		}
		if len(line) <= 2 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		value = bytes.TrimSuffix(value, []byte("\r\n"))
		switch {
		case bytes.EqualFold(name, contentLength):
			if length, err = strconv.Atoi(string(value)); err != nil || length != want.size {
				return false, 0, fmt.Errorf("Content-Length is %q, expected %d", value, want.size)
			}
		case bytes.EqualFold(name, transferEncoding):
			chunked = string(value) == "chunked"
		case bytes.EqualFold(name, contentType):
			media = want.contentType
			if string(value) != media {
				return false, 0, fmt.Errorf("Content-Type is %q, expected %q", value, media)
			}
		case bytes.EqualFold(name, connection):
			return false, 0, fmt.Errorf("the gateway sends Connection: %s", value)
		}
	}
	if media == "" || chunked == (length >= 0) {
		return false, 0, errors.New("the response has no Content-Type, or not one length")
	}
	return chunked, length, nil
}

// body reads a chunked body (RFC 9112, section 7.1).
func (c *client) body(take func(n int) error) error {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("reading a chunk: %w", cutOff(err))
		}
		c.chunks++
		n, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 31)
		if err != nil {
			return fmt.Errorf("%q is not the size of a chunk", line)
		}
		if err := take(int(n)); err != nil {
			return err
		}
		var end [2]byte
		if _, err := io.ReadFull(c.r, end[:]); err != nil {
			return fmt.Errorf("reading the end of a chunk: %w", cutOff(err))
		}
		if string(end[:]) != "\r\n" {
			return fmt.Errorf("a chunk of %d bytes is followed by %q", n, end)
		}
		if n == 0 {
			return nil
		}
	}
}

// cutOff makes plain that an end of the connection inside a response is none of
// the response.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
