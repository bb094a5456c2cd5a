package capture

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// http2Request is what a client of HTTP/2 may send with its first request.
func http2Request(g *rand.Rand, fields ...string) []byte {
	var out, block bytes.Buffer
	out.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&out, nil)
	_ = framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	if g.IntN(2) == 0 {
		_ = framer.WriteWindowUpdate(0, 1<<20)
	}
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		_ = encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1], Sensitive: g.IntN(2) == 0})
	}
	rest := block.Bytes()
	cut := g.IntN(len(rest) + 1)
	more := g.IntN(3)
	first := http2.HeadersFrameParam{StreamID: 1, BlockFragment: rest[:cut], EndHeaders: more == 0}
	if more == 0 {
		first.BlockFragment = rest
	}
	if g.IntN(2) == 0 {
		first.PadLength = uint8(g.IntN(256))
	}
	if g.IntN(2) == 0 {
		first.Priority = http2.PriorityParam{StreamDep: 3, Weight: 7}
	}
	_ = framer.WriteHeaders(first)
	switch more {
	case 1:
		_ = framer.WriteContinuation(1, true, rest[cut:])
	case 2:
		_ = framer.WriteContinuation(1, false, nil)
		_ = framer.WriteContinuation(1, true, rest[cut:])
	}
	_ = framer.WriteData(1, true, []byte("prompt"))
	return out.Bytes()
}

// TestScanHTTP2 holds that the host is found however the request is framed, and that no
// part of it decides anything else.
func TestScanHTTP2(t *testing.T) {
	for seed := range uint64(300) {
		g := rand.New(rand.NewPCG(seed, 1))
		long := strings.Repeat("x", g.IntN(5000))
		for name, test := range map[string]struct {
			fields []string
			want   requestHead
		}{
			":authority":          {[]string{":method", "POST", ":authority", "a.ex:80", "x", long}, requestHead{headRequest2, "a.ex:80"}},
			"host":                {[]string{":method", "POST", ":path", "/", "x", long, "host", "a.ex"}, requestHead{headRequest2, "a.ex"}},
			"both":                {[]string{":authority", "A.ex", "host", "a.ex"}, requestHead{headRequest2, "A.ex"}},
			"both, and different": {[]string{":authority", "a.ex", "host", "b.ex"}, requestHead{kind: headUnclear}},
			"both, and none":      {[]string{":authority", "[a.ex]", "host", "[b.ex]"}, requestHead{kind: headUnclear}},
			"three":               {[]string{":authority", "a.ex", "host", "a.ex", "host", "a.ex"}, requestHead{kind: headUnclear}},
			"neither":             {[]string{":method", "POST", "x", long}, requestHead{kind: headRequest2}},
		} {
			sent := http2Request(g, test.fields...)
			if got := scanHead(sent); got != test.want {
				t.Fatalf("%s: %v, want %v", name, got, test.want)
			}
			part := sent[:g.IntN(len(sent))]
			if got := scanHead(part); got.isWhole() && got != test.want {
				t.Fatalf("%s: %v after %d bytes, want %v", name, got, len(part), test.want)
			}
			if _, before := scanHTTP2(sent); bytes.Contains(sent[:before], []byte("prompt")) || len(http2.ClientPreface) > before {
				t.Fatalf("%s: %d bytes are before the request", name, before)
			}
		}
	}
	for name, frames := range map[string]string{
		"too long a frame":     "\x01\x00\x00\x01\x04\x00\x00\x00\x01",
		"a bad block":          "\x00\x00\x01\x01\x04\x00\x00\x00\x01\xff",
		"an index of nothing":  "\x00\x00\x01\x01\x04\x00\x00\x00\x01\xbf",
		"padding too long":     "\x00\x00\x02\x01\x0c\x00\x00\x00\x01\x05a",
		"no room for padding":  "\x00\x00\x00\x01\x0c\x00\x00\x00\x01",
		"no room for priority": "\x00\x00\x01\x01\x24\x00\x00\x00\x01a",
		"a continuation first": "\x00\x00\x00\x09\x04\x00\x00\x00\x01",
		"data in between":      "\x00\x00\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01",
	} {
		if got := scanHead([]byte(http2.ClientPreface + frames)); got.kind != headUnclear {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// FuzzScanHTTP2 holds against another reader of HTTP/2 that a request with a host is
// never taken for one without, or for another's.
func FuzzScanHTTP2(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(http2Request(rand.New(rand.NewPCG(seed, 2)), ":method", "POST", ":scheme", "http", ":path", "/", ":authority", "a.ex", "x", "y")[len(http2.ClientPreface):], 30)
	}
	f.Add([]byte("\x00\x00\x04\x08\x00\x00\x00\x00\x01\x00\x00\x00\x00"), 30)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		sent := append([]byte(http2.ClientPreface), in...)
		head, _ := scanHTTP2(sent)
		if cut >= 0 && cut < len(in) {
			if part, _ := scanHTTP2(sent[:len(http2.ClientPreface)+cut]); part.isWhole() && part != head {
				t.Fatalf("%v, and then %v", part, head)
			}
		}
		framer := http2.NewFramer(io.Discard, bytes.NewReader(in))
		framer.ReadMetaHeaders = hpack.NewDecoder(4<<10, nil)
		for {
			frame, err := framer.ReadFrame()
			var stream http2.StreamError
			switch isStream := errors.As(err, &stream); {
			case isStream && frame == nil: // not a request, such as WINDOW_UPDATE by 0; requests may follow
				continue
			case isStream && head.kind == headWaiting:
				t.Fatalf("%v is taken for nothing", err)
			case err != nil:
				return
			}
			if request, ok := frame.(*http2.MetaHeadersFrame); ok {
				if host := request.PseudoValue("authority"); !request.Truncated && head.kind != headUnclear && host != "" && (head.kind != headRequest2 || head.host != host) {
					t.Fatalf("%v, want %q", head, host)
				}
				return
			}
		}
	})
}
