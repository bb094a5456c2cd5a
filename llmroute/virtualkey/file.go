package virtualkey

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/internal/livefile"
)

const (
	// maxKeysFile bounds the file, in bytes.
	maxKeysFile = 8 << 20
	// maxClientName bounds a client's name in logs, in bytes.
	maxClientName = 128

	hashPrefix = "sha256:"

	// limitWord stands before the name of a client's limit, guardsWord and promptWord before
	// the names of its guards and prompts, with commas between them.
	limitWord  = "limit"
	guardsWord = "guards"
	promptWord = "prompt"
)

// keysFile is a file of clients and the hashes of their keys.
type keysFile = livefile.File[clientTable]

// openKeysFile reads the file. The error names the file and, where there is
// one, the line.
func openKeysFile(path string, logger *zap.Logger) (*keysFile, error) {
	return livefile.Open(path, keysKind, logger)
}

var keysKind = &livefile.Kind[clientTable]{
	Name: "keys", MaxSize: maxKeysFile, Create: "create it with a line that caddy llm hash-key --generate --name NAME prints", Parse: parseKeys,
	Taken: func(path string, table clientTable, changed bool, logger *zap.Logger) {
		if changed {
			logger.Info("keys file changed", zap.String("file", path), zap.Int("keys", len(table)))
		}
		if len(table) == 0 {
			logger.Warn("keys file has no clients, so all requests are refused; add a line that caddy llm hash-key --generate --name NAME prints",
				zap.String("file", path))
		}
	},
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
		client.Realm = path
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
	client = &Client{Name: fields[0]}
	if client.Models, err = client.parseOptions(fields[2:]); err != nil {
		return hash, nil, err
	}
	for _, model := range client.Models {
		switch {
		case strings.HasPrefix(model, hashPrefix):
			return hash, nil, errors.New("there is a second hash; expected one a line: write another line with the same name")
		case model == limitWord:
			return hash, nil, errors.New("limit is not followed by one name at the end of the line; expected " + lineForm)
		case model == guardsWord, model == promptWord:
			return hash, nil, errors.New("guards or prompt is not followed by names at the end of the line; expected " + lineForm)
		case strings.Contains(model, ","):
			return hash, nil, errors.New("there is a comma in a model's name; expected models separated by spaces")
		}
	}
	return hash, client, nil
}

// lineForm is what a line looks like.
const lineForm = "NAME HASH [MODEL...] [limit LIMIT] [guards GUARD,...] [prompt PROMPT,...]"

// parseOptions takes the words that end a line, each with what follows it, and returns the
// models before them.
func (c *Client) parseOptions(fields []string) (models []string, err error) {
	for n := len(fields); n >= 2; n -= 2 {
		value := fields[n-1]
		switch fields[n-2] {
		case limitWord:
			if c.Limit != "" {
				return nil, errors.New("there are two limits; name one")
			}
			c.Limit = value
		case guardsWord:
			err = parseNames(&c.Guards, value)
		case promptWord:
			err = parseNames(&c.Prompts, value)
		default:
			return fields[:n], nil
		}
		if err != nil {
			return nil, err
		}
		fields = fields[:n-2]
	}
	return fields, nil
}

// parseNames reads names with commas between them.
func parseNames(to *[]string, value string) error {
	if *to != nil {
		return errors.New("guards or prompt is there twice; write all names after one, with commas between them")
	}
	for name := range strings.SplitSeq(value, ",") {
		if name == "" || slices.Contains(*to, name) {
			return errors.New("the names after guards or prompt have one that is empty or there twice; write them with commas and without spaces")
		}
		*to = append(*to, name)
	}
	return nil
}
