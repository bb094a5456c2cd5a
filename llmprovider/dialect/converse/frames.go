package converse

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// maxFrame bounds one frame of a stream, in bytes: AWS's own limit is 16 MiB for the
// payload, beside 128 KiB of headers.
const maxFrame = 16<<20 + 256<<10

// Frames cuts AWS's binary event stream
// (https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html), which arrives
// in pieces, into its messages, and checks their sums. The zero value is ready.
type Frames struct {
	buf     []byte
	decoder *eventstream.Decoder
	reader  bytes.Reader
	payload []byte
}

// Read takes the next piece and calls f with each message: what it is (event,
// exception or error), its name, and its payload, which is valid only during the
// call.
func (s *Frames) Read(p []byte, f func(kind, name string, payload []byte) error) error {
	s.buf = append(s.buf, p...)
	rest := s.buf
	for len(rest) >= 4 {
		size := int(binary.BigEndian.Uint32(rest))
		if size < 16 || size > maxFrame {
			return fmt.Errorf("a frame of %d bytes is not valid in an event stream", size)
		}
		if len(rest) < size {
			break
		}
		if err := s.frame(rest[:size], f); err != nil {
			return err
		}
		rest = rest[size:]
	}
	s.buf = s.buf[:copy(s.buf, rest)]
	if len(s.buf) == 0 && cap(s.buf) > 64<<10 {
		s.buf = nil
	}
	return nil
}

// Rest returns what came of a message that is not complete.
func (s *Frames) Rest() []byte { return s.buf }

func (s *Frames) frame(frame []byte, f func(kind, name string, payload []byte) error) error {
	if s.decoder == nil {
		s.decoder = eventstream.NewDecoder()
	}
	s.reader.Reset(frame)
	m, err := s.decoder.Decode(&s.reader, s.payload[:0])
	if err != nil {
		return fmt.Errorf("reading a frame: %w", err)
	}
	s.payload = m.Payload
	kind, name := "event", ""
	for _, h := range m.Headers {
		text, ok := h.Value.(eventstream.StringValue)
		switch {
		case !ok:
		case h.Name == ":message-type":
			kind = string(text)
		case h.Name == ":event-type", h.Name == ":exception-type", h.Name == ":error-code":
			name = string(text)
		case h.Name == ":error-message" && len(m.Payload) == 0:
			m.Payload = []byte(text)
		}
	}
	if name == "" {
		return errors.New("a frame without an event type is not valid in this API")
	}
	err = f(kind, name, m.Payload)
	if cap(s.payload) > 64<<10 {
		s.payload = nil
	}
	return err
}
