package upstream

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// secretRefresh is how often a secret's file is read again while it is used.
const secretRefresh = time.Second

// processStart is what the clock for rereading is measured from: it never goes
// back, as the time of day may.
var processStart = time.Now()

// maxSecretSize bounds a secret's file, in bytes.
const maxSecretSize = 64 << 10

// Secret is a credential. In a configuration it is written as a reference,
// {env.NAME} or {file.PATH}, so that the value itself is never in a configuration that
// Caddy shows or saves; sources hand the value over with Literal. A file is read again
// at most once a second while the secret is used, so a rotated one takes effect within
// two seconds, without a reload.
type Secret struct {
	parts   []secretPart
	fixed   bool
	current atomic.Pointer[[1]string] // as the value of a header, made once
	next    atomic.Int64              // when to read again, in nanoseconds of the process's clock
	failed  atomic.Bool               // the last reading failed, so an earlier value is used

	// report, if set, is told once that the secret cannot be read any more while
	// an earlier value stays in force, and, with nil, that it can be again.
	report func(error)
}

type secretPart struct{ text, env, file string }

// ParseSecret reads a reference. name is the option it stands in, for the
// error, which never repeats the text: it may be a key.
func ParseSecret(name, raw string) (*Secret, error) {
	s := &Secret{fixed: true}
	referenced := false
	for rest := raw; rest != ""; {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			s.parts = append(s.parts, secretPart{text: rest})
			break
		}
		end := strings.IndexByte(rest[open:], '}')
		if end < 0 {
			return nil, literalError(name)
		}
		if open > 0 {
			s.parts = append(s.parts, secretPart{text: rest[:open]})
		}
		key := rest[open+1 : open+end]
		rest = rest[open+end+1:]
		if env, ok := strings.CutPrefix(key, "env."); ok && env != "" {
			s.parts = append(s.parts, secretPart{env: env})
		} else if file, ok := strings.CutPrefix(key, "file."); ok && file != "" {
			s.parts = append(s.parts, secretPart{file: file})
			s.fixed = false
		} else {
			return nil, literalError(name)
		}
		referenced = true
	}
	if !referenced {
		return nil, literalError(name)
	}
	return s, nil
}

// Literal returns a secret whose value is known. It is for sources that read
// secrets themselves; the value is never written to JSON. Until their values are
// used, secrets of the same value are equal to reflect.DeepEqual, by which a
// source's new state is compared with the old.
func Literal(value string) *Secret {
	return &Secret{fixed: true, parts: []secretPart{{text: value}}}
}

func literalError(name string) error {
	return fmt.Errorf("%s: secrets must not be in the configuration, which Caddy shows and saves; write {env.NAME} to read it from "+
		"the environment or {file./path/to/secret} to read it from a file (not {$NAME}, which is replaced before the configuration is read)", name)
}

// empty reports whether the secret is the empty literal, which stands for none.
func (s *Secret) empty() bool { return len(s.parts) == 1 && s.parts[0] == secretPart{} }

// WithPrefix returns a secret whose value has text before it, such as "Bearer ".
func (s *Secret) WithPrefix(text string) *Secret {
	out := &Secret{fixed: s.fixed, parts: append([]secretPart{{text: text}}, s.parts...)}
	return out
}

// Value returns the secret's value. The error names the reference that gives
// none, and what to do; the last good value stays in force while its file
// cannot be read.
func (s *Secret) Value() (string, error) {
	value, err := s.load()
	if err != nil {
		return "", err
	}
	return value[0], nil
}

// headerValue is Value as the value of a header. It is shared and not to be
// changed.
func (s *Secret) headerValue() ([]string, error) {
	value, err := s.load()
	if err != nil {
		return nil, err
	}
	return value[:], nil
}

func (s *Secret) load() (*[1]string, error) {
	cur := s.current.Load()
	if cur != nil && s.fixed {
		return cur, nil
	}
	now := int64(time.Since(processStart))
	next := s.next.Load()
	if cur != nil && (now < next || !s.next.CompareAndSwap(next, now+int64(secretRefresh))) {
		return cur, nil
	}
	text, err := s.resolve()
	if err == nil {
		if s.failed.Swap(false) && cur != nil && s.report != nil {
			s.report(nil)
		}
		if cur == nil || cur[0] != text {
			cur = &[1]string{text}
			s.current.Store(cur)
		}
		s.next.Store(now + int64(secretRefresh))
		return cur, nil
	}
	already := s.failed.Swap(true)
	if cur == nil {
		return nil, err
	}
	if !already && s.report != nil {
		s.report(err)
	}
	return cur, nil
}

// String returns the reference, never the value.
func (s *Secret) String() string {
	var b strings.Builder
	for _, p := range s.parts {
		switch {
		case p.env != "":
			b.WriteString("{env." + p.env + "}")
		case p.file != "":
			b.WriteString("{file." + p.file + "}")
		default:
			b.WriteString("REDACTED")
		}
	}
	return b.String()
}

func (s *Secret) resolve() (string, error) {
	var b strings.Builder
	for _, p := range s.parts {
		text := p.text
		switch {
		case p.env != "":
			if text = strings.TrimSpace(os.Getenv(p.env)); text == "" {
				return "", fmt.Errorf("the environment variable %s is empty; set it before the gateway starts", p.env)
			}
		case p.file != "":
			var err error
			if text, err = readSecret(p.file); err != nil {
				return "", err
			}
		}
		b.WriteString(text)
	}
	value := b.String()
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return "", fmt.Errorf("%s contains a line break or a control character; write the credential on one line", s)
	}
	return value, nil
}

func readSecret(path string) (string, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("reading a secret: %s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading a secret: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecretSize+1))
	if err != nil {
		return "", fmt.Errorf("reading a secret: %w", err)
	}
	if len(data) > maxSecretSize {
		return "", fmt.Errorf("reading a secret: %s is over %d bytes; name a file that holds only the secret", path, maxSecretSize)
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return "", fmt.Errorf("reading a secret: %s is empty; write the secret into it", path)
	}
	return text, nil
}
