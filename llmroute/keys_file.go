package llmroute

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"
)

const (
	// keysRefresh is how often the file is read again while requests arrive.
	keysRefresh = time.Second
	// maxKeysFile bounds the file, in bytes.
	maxKeysFile = 8 << 20
	// maxClientName bounds a client's name in logs, in bytes.
	maxClientName = 128

	hashPrefix = "sha256:"
)

// keysFile is a file of clients and the hashes of their keys. The request that
// comes first after a second reads it again; those that arrive meanwhile use
// what was read before. It is safe for concurrent use.
type keysFile struct {
	path   string
	logger *zap.Logger
	every  time.Duration
	opened time.Time

	table atomic.Pointer[clientTable]
	next  atomic.Int64 // when to read again, in nanoseconds after opened

	mu      sync.Mutex        // held while the file is read
	seen    [sha256.Size]byte // the content that was last parsed, good or not
	failure string            // why it could not be read, if it could not
}

// openKeysFile reads the file. The error names the file and, where there is
// one, the line.
func openKeysFile(path string, logger *zap.Logger) (*keysFile, error) {
	f := &keysFile{path: path, logger: logger, every: keysRefresh, opened: time.Now()}
	f.next.Store(int64(f.every))
	data, err := readKeysFile(path)
	if err != nil {
		return nil, err
	}
	table, err := parseKeys(path, data)
	if err != nil {
		return nil, err
	}
	f.seen = sha256.Sum256(data)
	f.table.Store(&table)
	f.warnIfEmpty(table)
	return f, nil
}

// clients returns who may call.
func (f *keysFile) clients() clientTable {
	// Time since opened, and not of day: a clock that is set back must not keep
	// a withdrawn key in force.
	if f.due() && f.mu.TryLock() {
		if f.due() {
			f.refresh()
			f.next.Store(int64(time.Since(f.opened) + f.every))
		}
		f.mu.Unlock()
	}
	return *f.table.Load()
}

func (f *keysFile) due() bool { return int64(time.Since(f.opened)) >= f.next.Load() }

// refresh reads the file and takes over what it says, if it is new and good. It
// compares the content, because two versions may have the same time and size.
func (f *keysFile) refresh() {
	data, err := readKeysFile(f.path)
	if err != nil {
		if text := err.Error(); text != f.failure {
			f.failure = text
			f.logger.Error("the file of keys cannot be read; its last good version stays in force", zap.Error(err))
		}
		return
	}
	sum := sha256.Sum256(data)
	if f.failure != "" {
		f.failure = ""
		f.logger.Info("the file of keys can be read again", zap.String("file", f.path))
	}
	if sum == f.seen {
		return
	}
	f.seen = sum
	table, err := parseKeys(f.path, data)
	if err != nil {
		f.logger.Error("the file of keys has a mistake; its last good version stays in force", zap.Error(err))
		return
	}
	f.table.Store(&table)
	f.logger.Info("the file of keys has changed", zap.String("file", f.path), zap.Int("keys", len(table)))
	f.warnIfEmpty(table)
}

func (f *keysFile) warnIfEmpty(table clientTable) {
	if len(table) == 0 {
		f.logger.Warn("the file of keys has no clients, so that nobody may call; add a line that caddy llm hash-key --generate --name NAME prints",
			zap.String("file", f.path))
	}
}

func readKeysFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the keys: %w; create it with a line that caddy llm hash-key --generate --name NAME prints", err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the keys: %w", err)
	}
	if !info.Mode().IsRegular() { // opening a pipe could wait forever
		return nil, fmt.Errorf("reading the keys: %s is not a regular file; name the file with the clients and the hashes of their keys", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the keys: %w", err)
	}
	defer file.Close()
	var data bytes.Buffer
	if info.Size() <= maxKeysFile {
		data.Grow(int(info.Size()) + bytes.MinRead)
	}
	if _, err := data.ReadFrom(io.LimitReader(file, maxKeysFile+1)); err != nil {
		return nil, fmt.Errorf("reading the keys: %w", err)
	}
	if data.Len() > maxKeysFile {
		return nil, fmt.Errorf("reading the keys: %s is over the limit of %d bytes", path, maxKeysFile)
	}
	return data.Bytes(), nil
}

// parseKeys reads the clients. The error names the file and the line, but
// repeats nothing of it: where a hash is expected, somebody may have put a key.
func parseKeys(path string, data []byte) (clientTable, error) {
	text := string(bytes.TrimPrefix(data, []byte("\ufeff"))) // as some editors write it
	table := make(clientTable)
	lines := make(map[keyHash]int)
	number := 0
	for line := range strings.Lines(text) {
		number++
		hash, client, err := parseKeyLine(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, number, err)
		}
		if client == nil {
			continue
		}
		if earlier, ok := lines[hash]; ok {
			return nil, fmt.Errorf("%s:%d: the hash is that of line %d too; give each key one line, with all of its models", path, number, earlier)
		}
		table[hash], lines[hash] = client, number
	}
	return table, nil
}

// emptyKey is what a hash tool prints when the key did not reach it.
var emptyKey = hashKey("")

// parseKeyLine reads one line. The client is nil if it has none.
func parseKeyLine(line string) (hash keyHash, client *Client, err error) {
	if !utf8.ValidString(line) {
		return hash, nil, errors.New("the line is not UTF-8 text; save the file as UTF-8")
	}
	fields := strings.Fields(line)
	for i, field := range fields {
		if strings.HasPrefix(field, "#") {
			fields = fields[:i]
			break
		}
		if strings.ContainsFunc(field, func(r rune) bool { return !unicode.IsGraphic(r) }) {
			return hash, nil, errors.New("the line has a character that cannot be seen; write it again")
		}
	}
	switch {
	case len(fields) == 0:
		return hash, nil, nil
	case strings.HasPrefix(fields[0], hashPrefix):
		return hash, nil, errors.New("the client's name is missing; expected NAME HASH [MODEL...], with the name first")
	case len(fields) == 1:
		return hash, nil, errors.New("the hash is missing; expected NAME HASH [MODEL...], with a hash that caddy llm hash-key prints")
	case !strings.HasPrefix(fields[1], hashPrefix):
		return hash, nil, errors.New("expected NAME HASH [MODEL...], with a hash that begins with sha256:, as caddy llm hash-key prints it; " +
			"a key itself does not belong in this file")
	case len(fields[0]) > maxClientName:
		return hash, nil, fmt.Errorf("the client's name has %d bytes; at most %d are taken", len(fields[0]), maxClientName)
	}
	digits := fields[1][len(hashPrefix):]
	if len(digits) != hex.EncodedLen(len(hash)) {
		return hash, nil, fmt.Errorf("the hash has %d characters after sha256:, expected %d hexadecimal digits", len(digits), hex.EncodedLen(len(hash)))
	}
	if _, err := hex.Decode(hash[:], []byte(digits)); err != nil {
		return hash, nil, fmt.Errorf("the hash has a character that is no digit, expected %d hexadecimal digits after the colon", hex.EncodedLen(len(hash)))
	}
	if hash == emptyKey {
		return hash, nil, errors.New("the hash is that of an empty key; pass the key to caddy llm hash-key again, or let it generate one")
	}
	client = &Client{Name: fields[0], Models: fields[2:]}
	for _, model := range client.Models {
		switch {
		case strings.HasPrefix(model, hashPrefix):
			return hash, nil, errors.New("there is a second hash; expected one a line: write another line with the same name")
		case strings.Contains(model, ","):
			return hash, nil, errors.New("there is a comma in a model's name; expected models separated by spaces")
		}
	}
	return hash, client, nil
}
