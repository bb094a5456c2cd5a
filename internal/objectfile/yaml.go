package objectfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	yaml2 "go.yaml.in/yaml/v2"
	yaml3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

// Twice is a field that an object has twice.
type Twice struct {
	Field string
	Line  int  // of the second, from the text's first, 1
	Root  bool // it is a field of the outermost object
}

// Error is what is wrong with a text. It may repeat a part of it.
type Error struct {
	Line int // from the text's first, 1
	Text string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Text) }

// More is the text of the Error about something after the end of a document.
const More = "something follows after the end of the object; write a line of --- before it"

// ToJSON turns a text with one YAML document, or one JSON object, into JSON as kubectl
// does: what a mapping merges with `<<` is overridden by fields that come after it. A
// field that is written twice is returned with the JSON, in which the last one counts. An
// error is an *Error.
func ToJSON(text []byte) (data []byte, twice *Twice, err error) {
	if ends, rest := Objects(text[AfterMarker(text):]); len(ends) == 1 && rest < 0 {
		from := AfterMarker(text)
		object := text[skipSpace(text, from) : from+ends[0]]
		twice := twiceInJSON(object)
		if twice != nil {
			twice.Line += Lines(text[:skipSpace(text, from)])
		}
		return object, twice, nil
	}
	data, strict := yaml.YAMLToJSONStrict(text)
	if strict != nil {
		if data, err = yaml.YAMLToJSON(text); err != nil {
			return nil, nil, yamlError(text, err)
		}
		twice = twiceInYAML(text, strict)
	}
	if err := alone(text); err != nil {
		return nil, nil, err
	}
	return data, twice, nil
}

// alone checks that a text has one document: the parser reads the first one, and says
// nothing of what follows.
func alone(text []byte) error {
	var ignored struct{}
	d := yaml2.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&ignored); errors.Is(err, io.EOF) {
		return nil
	}
	err := d.Decode(&ignored)
	var types *yaml2.TypeError
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil && !errors.As(err, &types):
		e := yamlError(text, err)
		if strings.Contains(e.Text, "expected <document start>") { // of which the parser counts lines from 0
			e.Line = min(e.Line+1, 1+Lines(bytes.TrimSpace(text)))
		}
		e.Text = More
		return e
	}
	line := 1
	var first, second yaml3.Node
	nodes := yaml3.NewDecoder(bytes.NewReader(text))
	if nodes.Decode(&first) == nil && nodes.Decode(&second) == nil {
		line = second.Line
	}
	return &Error{line, More}
}

// twiceInYAML returns the first field that is written twice, if that is what strict
// complains of: it does so of every field that overrides a merged one, too.
func twiceInYAML(text []byte, strict error) *Twice {
	e := yamlError(text, strict)
	reported := &Twice{Field: keyTwice(e.Text), Line: e.Line}
	var root yaml3.Node
	if yaml3.Unmarshal(text, &root) != nil || len(root.Content) == 0 {
		return reported
	}
	merges := false
	var visit func(n *yaml3.Node, top bool) *Twice
	visit = func(n *yaml3.Node, top bool) *Twice {
		seen := make(map[string]bool)
		for i, child := range n.Content {
			if n.Kind == yaml3.MappingNode && i%2 == 0 && child.Kind == yaml3.ScalarNode {
				merge := child.Tag == "!!merge"
				merges = merges || merge
				if seen[child.Value] && !merge {
					return &Twice{Field: child.Value, Line: child.Line, Root: top}
				}
				seen[child.Value] = true
			}
			if found := visit(child, false); found != nil {
				return found
			}
		}
		return nil
	}
	if found := visit(root.Content[0], true); found != nil {
		return found
	}
	if !merges {
		return reported // such as y and true, which are one in YAML 1.1
	}
	return nil
}

var (
	lineForm  = regexp.MustCompile(`(?s)line (\d+): (.*)`)
	twiceForm = regexp.MustCompile(`^key "([^"]*)" already set in map`)
)

func keyTwice(text string) string {
	if m := twiceForm.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// yamlError takes an error of the YAML parser apart.
func yamlError(text []byte, err error) *Error {
	e := &Error{1, err.Error()}
	if m := lineForm.FindStringSubmatch(e.Text); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			// The parser counts past the end.
			e.Line = min(n, 1+Lines(bytes.TrimSpace(text)))
		}
		e.Text = m[2]
	}
	e.Text, _, _ = strings.Cut(e.Text, "\n")
	e.Text = strings.TrimPrefix(e.Text, "yaml: ")
	return e
}
