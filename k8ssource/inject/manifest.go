package inject

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/caddy-llm/gateway/internal/objectfile"
	"github.com/caddy-llm/gateway/k8ssource/object"
)

// manifests injects the pods in manifests.
type manifests struct {
	options    *Options
	namespaces map[string]map[string]string // labels, by name
	note       func(origin, text string)
}

// anyObject is what is read of any object.
type anyObject struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   metadata `json:"metadata"`
	Items      []json.RawMessage
	Spec       struct {
		Template    json.RawMessage
		JobTemplate struct {
			Spec struct{ Template json.RawMessage }
		}
	}
}

// template is where a kind of objects has its pod template.
type template struct {
	groups string // "apps" and so on, of which any version; empty for the core
	path   string // a JSON pointer, empty for the object itself
}

var templates = map[string]template{
	"Pod":                   {"", ""},
	"ReplicationController": {"", "/spec/template"},
	"Deployment":            {"apps", "/spec/template"},
	"StatefulSet":           {"apps", "/spec/template"},
	"DaemonSet":             {"apps", "/spec/template"},
	"ReplicaSet":            {"apps", "/spec/template"},
	"Job":                   {"batch", "/spec/template"},
	"CronJob":               {"batch", "/spec/jobTemplate/spec/template"},
}

// lookUp reads the labels of the namespaces in a file.
func (m *manifests) lookUp(name string, data []byte) error {
	return eachDocument(name, data, func(d document, value json.RawMessage) error {
		return eachObject(value, "", func(o *anyObject, _ json.RawMessage, _ string) error {
			if o.APIVersion == "v1" && o.Kind == "Namespace" {
				m.namespaces[o.Metadata.Name] = o.Metadata.Labels
			}
			return nil
		})
	})
}

// inject returns a file with the sidecar in its pods. All else of the file stays as
// it is, byte for byte.
func (m *manifests) inject(name string, data []byte) ([]byte, error) {
	var out bytes.Buffer
	err := eachDocument(name, data, func(d document, value json.RawMessage) error {
		text, err := m.document(d, value)
		out.Write(text)
		return err
	})
	return out.Bytes(), err
}

func (m *manifests) document(d document, value json.RawMessage) ([]byte, error) {
	if bytes.Equal(value, []byte("null")) {
		return d.text, nil
	}
	root, err := parse(d.text)
	if err != nil && (!json.Valid(d.text) || !utf8.Valid(d.text)) { // JSON can say more than the parser of YAML takes
		return nil, d.syntaxError(err)
	}
	var operations []Operation
	err = eachObject(value, "", func(o *anyObject, raw json.RawMessage, at string) error {
		where, known := templates[o.Kind]
		group, _, grouped := strings.Cut(o.APIVersion, "/")
		if !grouped {
			group = ""
		}
		if !known || group != where.groups {
			return nil
		}
		origin := fmt.Sprintf("%s:%d: %s %s", d.file, d.line+lineOf(root, at)-1, o.Kind, o.Metadata.fullName())
		more, err := m.pod(o, raw, where.path, origin)
		if err != nil {
			return fmt.Errorf("%s: %w", origin, err)
		}
		for i := range more {
			more[i].Path = at + where.path + more[i].Path
		}
		operations = append(operations, more...)
		return nil
	})
	if err != nil || len(operations) == 0 {
		return d.text, err
	}
	if err := d.unique(); err != nil {
		return nil, err
	}
	return m.edit(d, root, value, operations)
}

// pod returns what adds the sidecar to the pod of an object.
func (m *manifests) pod(o *anyObject, raw json.RawMessage, path, origin string) ([]Operation, error) {
	place := Place{Namespace: o.Metadata.Namespace, Workload: o.Metadata.Name, AllAnnotations: true, NamespaceLabels: map[string]string{InjectionLabel: "enabled"}}
	switch path {
	case "":
		place.Workload = "" // a pod knows its owner
	case "/spec/template":
		raw = o.Spec.Template
	default:
		raw = o.Spec.JobTemplate.Spec.Template
	}
	if labels := m.namespaces[place.Namespace]; labels[InjectionLabel] != "" {
		place.NamespaceLabels = labels
	}
	if raw == nil {
		return nil, errors.New("there is no pod template; write " + strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", "."))
	}
	operations, decision, err := m.options.Patch(raw, place)
	if err == nil && !decision.Inject {
		m.note(origin, "left as it is: "+decision.Message)
	}
	return operations, err
}

// edit carries out operations on a document: in its text, so that comments and
// layout stay. What the text makes up in the end is compared with what it should.
func (m *manifests) edit(d document, root *yaml.Node, value json.RawMessage, operations []Operation) ([]byte, error) {
	want, err := apply(operations, value)
	if err != nil {
		return nil, fmt.Errorf("%s:%d: %w", d.file, d.line, err)
	}
	if root != nil {
		if text, err := editText(d.text, root, operations); err == nil && makesUp(text, want) && (!d.json || json.Valid(text)) {
			return text, nil
		}
	}
	if d.json { // beside which there can be no YAML without markers
		text, err := json.MarshalIndent(want, "", "  ")
		return slices.Concat(d.text[:objectfile.AfterMarker(d.text)], []byte("\n"), text, []byte("\n")), err
	}
	// Anchors are shared between places, and only one of them is to change.
	text, err := sigsyaml.Marshal(want)
	if err != nil {
		return nil, fmt.Errorf("%s:%d: %w", d.file, d.line, err)
	}
	m.note(fmt.Sprintf("%s:%d", d.file, d.line), "the document is written anew, without its comments and anchors: its text cannot be changed in place")
	if _, ended := cutEnd(d.text); ended {
		text = append(text, "...\n"...)
	}
	return append([]byte("---\n"), text...), nil
}

// cutEnd returns a document's text without the marker of its end, and whether it has one.
func cutEnd(text []byte) ([]byte, bool) {
	for pos := 0; pos < len(text); {
		next := objectfile.Next(text, pos)
		if objectfile.IsMarker(text[pos:next], "...") {
			return text[:pos], true
		}
		pos = next
	}
	return text, false
}

func makesUp(text []byte, want any) bool {
	data, twice, err := objectfile.ToJSON(text)
	if err != nil || twice != nil {
		return false
	}
	var got any
	return json.Unmarshal(data, &got) == nil && reflect.DeepEqual(got, want)
}

func (m metadata) fullName() string {
	name := m.Name
	if name == "" {
		name = m.GenerateName
	}
	if m.Namespace != "" {
		name = m.Namespace + "/" + name
	}
	return name
}

// eachObject calls f for an object or, if it is a list, for those in it, each with
// the JSON pointer that leads to it.
func eachObject(value json.RawMessage, at string, f func(o *anyObject, raw json.RawMessage, at string) error) error {
	o := new(anyObject)
	var wrong *json.UnmarshalTypeError
	if err := json.Unmarshal(value, o); err != nil && !errors.As(err, &wrong) {
		return err
	}
	kind, isList := strings.CutSuffix(o.Kind, "List")
	if !isList {
		return f(o, value, at)
	}
	if wrong != nil && wrong.Field == "items" || o.Kind == "List" && o.Items == nil {
		return fmt.Errorf("the %s has no list of items; write the objects under items, each after a dash", o.Kind)
	}
	for i, item := range o.Items {
		err := eachObject(item, fmt.Sprintf("%s/items/%d", at, i), func(in *anyObject, raw json.RawMessage, at string) error {
			if in.Kind == "" { // in a PodList it goes without saying
				in.Kind, in.APIVersion = kind, o.APIVersion
			}
			return f(in, raw, at)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// document is a part of a file: one YAML document, with its marker, or one of several
// JSON objects.
type document struct {
	file string
	line int // of its first line, from 1
	text []byte
	json bool // it may only be replaced by JSON
}

// split cuts a file into documents, which together are the file.
func split(name string, data []byte) ([]document, error) {
	var out []document
	start, startLine := 0, 1
	var failed error
	end := func(at int) {
		text := data[start:at]
		marker := objectfile.AfterMarker(text)
		content, ended := cutEnd(text)
		ends, rest := objectfile.Objects(content[min(marker, len(content)):])
		if len(ends) > 0 && rest >= 0 && failed == nil {
			failed = &object.FileError{File: name, Line: startLine + objectfile.Lines(text[:marker+rest]), Text: objectfile.More}
		}
		if len(ends) < 2 {
			out = append(out, document{name, startLine, text, false})
			return
		}
		from, line := 0, startLine
		for i, to := range ends {
			if to += marker; i == len(ends)-1 {
				to = len(content)
			}
			out = append(out, document{name, line, text[from:to], true})
			line += objectfile.Lines(text[from:to])
			from = to
		}
		if ended {
			out = append(out, document{name, line, text[len(content):], false})
		}
	}
	line := 1
	for pos := 0; pos < len(data); line++ {
		next := objectfile.Next(data, pos)
		switch text := data[pos:next]; {
		case objectfile.IsMarker(text, "---") && pos > start:
			end(pos)
			start, startLine = pos, line
		case objectfile.IsMarker(text, "..."):
			end(next)
			start, startLine = next, line+1
		}
		pos = next
	}
	end(len(data))
	return out, failed
}

// eachDocument calls f for each document of a file, with what it makes up.
func eachDocument(name string, data []byte, f func(d document, value json.RawMessage) error) error {
	if len(data) > object.MaxFileSize {
		return &object.FileError{File: name, Line: 1, Text: fmt.Sprintf("the file is over %d bytes; split it", object.MaxFileSize)}
	}
	documents, err := split(name, data)
	if err != nil {
		return err
	}
	for _, d := range documents {
		value, _, err := objectfile.ToJSON(d.text)
		if err != nil {
			return d.syntaxError(err)
		}
		if len(value) == 0 || value[0] != '{' && !bytes.Equal(value, []byte("null")) {
			return &object.FileError{File: name, Line: d.line, Text: "this is not a Kubernetes object; write apiVersion, kind, metadata and spec"}
		}
		if err := f(d, value); err != nil {
			return err
		}
	}
	return nil
}

// unique checks that no field is there twice, where it would not be clear which is
// to change.
func (d document) unique() error {
	switch _, twice, err := objectfile.ToJSON(d.text); {
	case err != nil:
		return d.syntaxError(err)
	case twice != nil:
		return d.syntaxError(&objectfile.Error{Line: twice.Line, Text: fmt.Sprintf("key %q already set in map", twice.Field)})
	}
	return nil
}

// syntaxError is an error of the parser, whose lines count from the document's.
func (d document) syntaxError(err error) error {
	e := &object.FileError{File: d.file, Line: d.line, Text: err.Error()}
	var at *objectfile.Error
	if errors.As(err, &at) {
		e.Line += at.Line - 1
		if e.Text = at.Text; e.Text != objectfile.More {
			e.Text = object.YAMLText(e.Text)
		}
	}
	return e
}
