package price

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"

	"github.com/caddy-llm/gateway/internal/livefile"
	"github.com/caddy-llm/gateway/llmprovider"
)

// maxPricesFile bounds a file of prices, in bytes.
const maxPricesFile = 8 << 20

// File is how a file of prices is followed.
var File = &livefile.Kind[*Table]{
	Name: "prices", MaxSize: maxPricesFile, Create: "create it with a currency and prices, as in examples/prices", Parse: parsePrices,
	Taken: func(path string, table *Table, changed bool, logger *zap.Logger) {
		if changed {
			logger.Info("prices file changed", zap.String("file", path), zap.Int("prices", table.count))
		}
	},
}

// parsePrices reads a file of prices. The error names the file and the line.
func parsePrices(path string, data []byte) (*Table, error) {
	fail := func(line int, format string, args ...any) error {
		return fmt.Errorf("%s:%d: %w", path, line, fmt.Errorf(format, args...))
	}
	var doc yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fail(1, "the file is empty; write a currency and prices, as in examples/prices")
		}
		if at := yamlLine.FindStringSubmatch(err.Error()); at != nil {
			return nil, fmt.Errorf("%s:%s: this is not YAML: %s", path, at[1], at[2])
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if decoder.Decode(new(yaml.Node)) == nil {
		return nil, fail(1, "there is a second document after a line ---; write one")
	}
	if len(doc.Content) == 0 {
		return nil, fail(1, "the file is empty; write a currency and prices, as in examples/prices")
	}
	top, err := membersOf(doc.Content[0], "currency", "prices")
	if err != nil {
		return nil, fmt.Errorf("%s:%w", path, err)
	}
	currency := top["currency"]
	if currency == nil || !currencyCode.MatchString(currency.Value) {
		return nil, fail(lineOf(currency, doc.Content[0]), "currency is missing or no code of three capital letters; write one such as USD")
	}
	list := top["prices"]
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil, fail(lineOf(list, doc.Content[0]), "prices is missing or no list; write entries that begin with - model: NAME")
	}
	var prices []*Entry
	lines := make(map[string]int)
	for _, node := range list.Content {
		p, err := parsePrice(node)
		if err != nil {
			return nil, fmt.Errorf("%s:%w", path, err)
		}
		key := fmt.Sprintf("%s\n%s\n%d", p.provider, p.model, p.from.Unix())
		if earlier, ok := lines[key]; ok {
			return nil, fail(p.line, "line %d has a price of the same model, provider and date; keep one of them", earlier)
		}
		lines[key] = p.line
		prices = append(prices, p)
	}
	return newTable(currency.Value, prices), nil
}

var (
	currencyCode = regexp.MustCompile(`^[A-Z]{3}$`)
	yamlLine     = regexp.MustCompile(`^yaml: line (\d+): (.*)`)
	amount       = regexp.MustCompile(`^[0-9]{1,7}(\.[0-9]{1,6})?$`)
)

// parsePrice reads one entry. Its errors begin with a line, as those of
// membersOf do.
func parsePrice(node *yaml.Node) (*Entry, error) {
	m, err := membersOf(node, "model", "provider", "from", "input", "cached", "cache_write", "output", "reasoning")
	if err != nil {
		return nil, err
	}
	p := &Entry{line: node.Line}
	for name, into := range map[string]*string{"model": &p.model, "provider": &p.provider} {
		if v := m[name]; v != nil {
			if v.Kind != yaml.ScalarNode || strings.TrimSpace(v.Value) == "" {
				return nil, fmt.Errorf("%d: %s is no name; write one", v.Line, name)
			}
			*into = v.Value
		}
	}
	switch star := strings.IndexByte(p.model, '*'); {
	case p.model == "":
		return nil, fmt.Errorf("%d: the price has no model; write its name, or the beginning of names with a * after it", node.Line)
	case star >= 0 && star < len(p.model)-1:
		return nil, fmt.Errorf("%d: the model %q has a * that is not at its end; write one only there", m["model"].Line, llmprovider.Bounded(p.model))
	}
	if v := m["from"]; v != nil {
		if p.from, err = parseFrom(v.Value); err != nil {
			return nil, fmt.Errorf("%d: from is no date; write one such as 2026-01-31, which begins at midnight UTC, or a time such as 2026-01-31T12:00:00Z", v.Line)
		}
	}
	for _, part := range []struct {
		name     string
		into     *uint64
		fallback *uint64
	}{{"input", &p.input, nil}, {"cached", &p.cached, &p.input}, {"cache_write", &p.written, &p.input}, {"output", &p.output, nil}, {"reasoning", &p.reasoning, &p.output}} {
		v := m[part.name]
		switch {
		case v == nil && part.fallback == nil:
			return nil, fmt.Errorf("%d: the price has no %s; write the price of a million tokens, 0 if they are free", node.Line, part.name)
		case v == nil:
			*part.into = *part.fallback
		case v.Kind != yaml.ScalarNode || !amount.MatchString(v.Value):
			return nil, fmt.Errorf("%d: %s is no price; write a number below 10 million with at most 6 digits after the point, such as 2.50", v.Line, part.name)
		default:
			*part.into = millionths(v.Value)
		}
	}
	return p, nil
}

// parseFrom reads a date, or a time.
func parseFrom(s string) (time.Time, error) {
	if at, err := time.Parse(time.DateOnly, s); err == nil {
		return at, nil
	}
	return time.Parse(time.RFC3339, s)
}

// millionths reads a decimal number that amount matches.
func millionths(s string) uint64 {
	whole, fraction, _ := strings.Cut(s, ".")
	n, _ := strconv.ParseUint(whole+(fraction + "000000")[:6], 10, bits.UintSize) // it has at most 13 digits
	return n
}

// membersOf returns the members of a mapping, which may have these names. The
// error begins with its line.
func membersOf(node *yaml.Node, names ...string) (map[string]*yaml.Node, error) {
	if node.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%d: expected members such as %s", node.Line, names[0]+": …")
	}
	out := make(map[string]*yaml.Node)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		known := false
		for _, name := range names {
			known = known || key.Value == name
		}
		switch {
		case !known:
			return nil, fmt.Errorf("%d: unknown member %q; expected one of %s", key.Line, llmprovider.Bounded(key.Value), strings.Join(names, ", "))
		case out[key.Value] != nil:
			return nil, fmt.Errorf("%d: %s is given twice; keep one", key.Line, key.Value)
		case value.Kind == yaml.AliasNode:
			return nil, fmt.Errorf("%d: %s is a reference to another place; write the value itself", value.Line, key.Value)
		}
		out[key.Value] = value
	}
	return out, nil
}

func lineOf(node, otherwise *yaml.Node) int {
	if node == nil {
		return otherwise.Line
	}
	return node.Line
}
