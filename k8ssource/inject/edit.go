package inject

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// errShape is a document whose text these rules cannot change.
var errShape = errors.New("the document is not laid out in a way that can be changed")

// insertion is text that is put in front of a byte of a document.
type insertion struct {
	at, remove int
	text       string
}

// editor finds out where in the text of a document, YAML or JSON, to insert what
// operations add.
type editor struct {
	text       []byte
	lines      []int // where each begins
	root       *yaml.Node
	newline    string
	compact    bool // lists begin below the first letter of their key
	insertions []insertion
	filled     map[*yaml.Node]bool // flow collections with something in them by now
}

// editText carries operations out on the text of a document, which root was read
// from. It only inserts, so that all else stays as it is, comments included.
func editText(text []byte, root *yaml.Node, operations []Operation) ([]byte, error) {
	e := &editor{text: text, root: root, lines: []int{0}, newline: "\n", filled: make(map[*yaml.Node]bool)}
	for i, b := range text {
		if b == '\n' {
			e.lines = append(e.lines, i+1)
		}
	}
	if bytes.Contains(text, []byte("\r\n")) {
		e.newline = "\r\n"
	}
	e.compact = !indented(e.root)
	for _, op := range operations {
		if err := e.add(op); err != nil {
			return nil, err
		}
	}
	return e.layout(e.result()), nil
}

// indented reports whether lists begin further to the right than their keys, by the
// first of them.
func indented(n *yaml.Node) bool {
	found, is := false, false
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		for i, child := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 1 && !found && child.Kind == yaml.SequenceNode && child.Style&yaml.FlowStyle == 0 {
				found, is = true, child.Column > n.Content[i-1].Column
			}
			if !found {
				walk(child)
			}
		}
	}
	walk(n)
	return is
}

// add notes what one operation inserts.
func (e *editor) add(op Operation) error {
	path := keys(op.Path)
	var key *yaml.Node // of parent
	parent := e.root
	for _, part := range path[:len(path)-1] {
		if key, parent = child(parent, part); parent == nil {
			return errShape
		}
	}
	last := path[len(path)-1]
	if parent.Kind == yaml.MappingNode {
		if key, value := child(parent, last); key != nil {
			return e.replaceNull(key, value, op.Value)
		}
	}
	switch {
	case parent.Style&yaml.FlowStyle != 0:
		return e.addToFlow(parent, last, op.Value)
	case parent.Kind == yaml.MappingNode:
		return e.addToMapping(key, parent, last, op.Value)
	case parent.Kind == yaml.SequenceNode && last == "0":
		return e.addToSequence(key, parent, op.Value)
	}
	return errShape
}

// child returns what a mapping or a sequence has there, and its key in a mapping.
func child(n *yaml.Node, part string) (key, value *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == part {
				return n.Content[i], n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(part); err == nil && i >= 0 && i < len(n.Content) {
			return nil, n.Content[i]
		}
	}
	return nil, nil
}

// replaceNull puts a value after a key that has none.
func (e *editor) replaceNull(key, value *yaml.Node, with any) error {
	text, err := json.Marshal(with)
	at := e.offset(key.Line, key.Column) + len(key.Value)
	if key.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		at += 2
	}
	if err != nil || value.Tag != "!!null" || at >= len(e.text) || e.text[at] != ':' {
		return errShape
	}
	if value.Value == "" {
		e.insert(at+1, " "+string(text))
		return nil
	}
	e.insertions = append(e.insertions, insertion{e.offset(value.Line, value.Column), len(value.Value), string(text)})
	return nil
}

// addToFlow inserts after the bracket. JSON is what all of YAML can read there.
func (e *editor) addToFlow(n *yaml.Node, last string, value any) error {
	text, err := json.Marshal(value)
	at := e.offset(n.Line, n.Column)
	if err != nil || at >= len(e.text) {
		return errShape
	}
	insert := string(text)
	switch {
	case n.Kind == yaml.SequenceNode && e.text[at] == '[' && last == "0":
	case n.Kind == yaml.MappingNode && e.text[at] == '{':
		quoted, err := json.Marshal(last)
		if err != nil {
			return err
		}
		insert = string(quoted) + ": " + insert
	default:
		return errShape
	}
	if len(n.Content) > 0 || e.filled[n] {
		insert += ", "
	}
	e.filled[n] = true
	e.insert(at+1, insert)
	return nil
}

// addToMapping inserts a key: below the one that the mapping belongs to or, if it
// has none or is in the same line, below its own first.
func (e *editor) addToMapping(key, n *yaml.Node, last string, value any) error {
	if len(n.Content) < 2 {
		return errShape
	}
	first, after := n.Content[0], n.Content[0]
	if key != nil && key.Line < first.Line {
		after = key
	} else if v := n.Content[1]; v.Kind != yaml.ScalarNode || v.Line != first.Line || v.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return errShape
	}
	return e.insertBlock(after, first.Column, map[string]any{last: value})
}

// addToSequence inserts an item before the first.
func (e *editor) addToSequence(key, n *yaml.Node, value any) error {
	if key == nil || key.Line >= n.Line {
		return errShape
	}
	return e.insertBlock(key, n.Column, []any{value})
}

// insertBlock inserts the lines of a value below the line of a node.
func (e *editor) insertBlock(after *yaml.Node, column int, value any) error {
	text, err := block(value, e.compact)
	if err != nil {
		return err
	}
	var b strings.Builder
	at := len(e.text)
	if after.Line < len(e.lines) {
		at = e.lines[after.Line] // the line below it
	} else {
		b.WriteString(e.newline) // the document ends without one
		text = strings.TrimSuffix(text, "\n")
	}
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			b.WriteString(strings.Repeat(" ", column-1))
		}
		b.WriteString(strings.TrimSuffix(line, "\n"))
		if strings.HasSuffix(line, "\n") {
			b.WriteString(e.newline)
		}
	}
	e.insert(at, b.String())
	return nil
}

// block writes a value as YAML, with the order that JSON gives it.
func block(value any, compact bool) (string, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	var n yaml.Node
	if err := yaml.Unmarshal(data, &n); err != nil {
		return "", err
	}
	plain(&n)
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if compact {
		enc.CompactSeqIndent()
	}
	err = errors.Join(enc.Encode(&n), enc.Close())
	return b.String(), err
}

// plain takes away the brackets and quotes of JSON that YAML does not need.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plain(c)
	}
}

func (e *editor) insert(at int, text string) {
	e.insertions = append(e.insertions, insertion{at: at, text: text})
}

// result is the text with all that is inserted. Of two at one place the later comes
// first: both are added to the front.
func (e *editor) result() []byte {
	slices.Reverse(e.insertions)
	slices.SortStableFunc(e.insertions, func(a, b insertion) int { return cmp.Compare(a.at, b.at) })
	var out bytes.Buffer
	pos := 0
	for _, i := range e.insertions {
		out.Write(e.text[pos:i.at])
		out.WriteString(i.text)
		pos = i.at + i.remove
	}
	out.Write(e.text[pos:])
	return out.Bytes()
}

// layout gives JSON that has lines the same indentation in what was inserted.
func (e *editor) layout(text []byte) []byte {
	before, after, ok := bytes.Cut(e.text, []byte("\n"))
	if !ok || string(bytes.TrimSpace(before)) != "{" || !json.Valid(e.text) {
		return text
	}
	indent := after[:len(after)-len(bytes.TrimLeft(after, " \t"))]
	var out bytes.Buffer
	if json.Indent(&out, text, "", string(indent)) != nil {
		return text
	}
	return out.Bytes()
}

// offset is where a place begins, in bytes. Columns count characters.
func (e *editor) offset(line, column int) int {
	if line < 1 || line > len(e.lines) {
		return len(e.text)
	}
	at := e.lines[line-1]
	for ; column > 1 && at < len(e.text); column-- {
		_, size := utf8.DecodeRune(e.text[at:])
		at += size
	}
	return at
}

// parse reads a document for the places of what is in it.
func parse(text []byte) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	if doc.Kind != yaml.DocumentNode {
		return nil, errShape
	}
	return doc.Content[0], nil
}

// lineOf is the line that what a JSON pointer leads to begins in, from 1.
func lineOf(root *yaml.Node, pointer string) int {
	if root == nil {
		return 1
	}
	n := root
	for _, part := range keys(pointer) {
		_, next := child(n, part)
		if next == nil {
			break
		}
		n = next
	}
	return n.Line
}
