package fakeprovider

import "time"

// Option changes how a Server listens.
type Option func(*settings)

type settings struct {
	address   string
	names     []string
	plain     bool
	http1     bool
	http2     bool
	notAfter  time.Time
	bodyLimit int64
	keep      int
}

func defaults() settings {
	return settings{
		address:   "127.0.0.1:0",
		http1:     true,
		http2:     true,
		notAfter:  time.Now().Add(7 * 24 * time.Hour),
		bodyLimit: 1 << 30,
	}
}

// At sets the listening address (default 127.0.0.1:0, a free port).
func At(address string) Option { return func(s *settings) { s.address = address } }

// Names adds DNS names to the certificate, which always covers localhost,
// 127.0.0.1 and ::1.
func Names(names ...string) Option {
	return func(s *settings) { s.names = append(s.names, names...) }
}

// Plain serves without TLS. HTTP/2 is then spoken only with prior knowledge.
func Plain() Option { return func(s *settings) { s.plain = true } }

// HTTP1Only never negotiates HTTP/2. Replies with a framing of their own
// (see Framing) need it, or a client that speaks HTTP/1.1.
func HTTP1Only() Option { return func(s *settings) { s.http1, s.http2 = true, false } }

// HTTP2Only refuses HTTP/1.1.
func HTTP2Only() Option { return func(s *settings) { s.http1, s.http2 = false, true } }

// Expired presents a certificate that ended an hour ago.
func Expired() Option {
	return func(s *settings) { s.notAfter = time.Now().Add(-time.Hour) }
}

// BodyLimit answers after n bytes of a request's body, without waiting for the
// rest, as providers do that refuse large or unauthenticated requests early.
// On HTTP/1.1 the server cannot see the client leave in that state.
func BodyLimit(n int64) Option { return func(s *settings) { s.bodyLimit = n } }

// Keep remembers only the last n requests, for load tests; by default all are
// kept. Count and the ledger are not affected.
func Keep(n int) Option { return func(s *settings) { s.keep = n } }
