package inject

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/caddy-llm/gateway/k8ssource"
)

// manifests injects the pods in manifests.
type manifests struct {
	options    *Options
	namespaces map[string]map[string]string // labels, by name
	note       func(origin, text string)
}

// object is what is read of any object.
type object struct {
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
		return eachObject(value, "", func(o *object, _ json.RawMessage, _ string) error {
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
	if err != nil {
		return nil, d.syntaxError(err)
	}
	var operations []Operation
	err = eachObject(value, "", func(o *object, raw json.RawMessage, at string) error {
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
func (m *manifests) pod(o *object, raw json.RawMessage, path, origin string) ([]Operation, error) {
	place := Place{Namespace: o.Metadata.Namespace, Workload: o.Metadata.Name, NamespaceLabels: map[string]string{InjectionLabel: "enabled"}}
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
	if text, err := editText(d.text, root, operations); err == nil && makesUp(text, want) {
		return text, nil
	}
	// Anchors are shared between places, and only one of them is to change.
	text, err := sigsyaml.Marshal(want)
	if err != nil {
		return nil, fmt.Errorf("%s:%d: %w", d.file, d.line, err)
	}
	m.note(fmt.Sprintf("%s:%d", d.file, d.line), "the document is written anew, without its comments and anchors: its text cannot be changed in place")
	return append([]byte("---\n"), text...), nil
}

func makesUp(text []byte, want any) bool {
	data, err := sigsyaml.YAMLToJSONStrict(text)
	if err != nil {
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
func eachObject(value json.RawMessage, at string, f func(o *object, raw json.RawMessage, at string) error) error {
	o := new(object)
	var wrong *json.UnmarshalTypeError
	if err := json.Unmarshal(value, o); err != nil && !errors.As(err, &wrong) {
		return err
	}
	kind, isList := strings.CutSuffix(o.Kind, "List")
	if !isList || at != "" {
		return f(o, value, at)
	}
	for i, item := range o.Items {
		err := eachObject(item, fmt.Sprintf("%s/items/%d", at, i), func(in *object, raw json.RawMessage, at string) error {
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

// document is a part of a file: one YAML document, with its marker.
type document struct {
	file string
	line int // of its first line, from 1
	text []byte
}

// split cuts a file into documents, which together are the file.
func split(name string, data []byte) []document {
	var out []document
	start, startLine := 0, 1
	for pos, line := 0, 1; pos < len(data); line++ {
		next := len(data)
		if i := bytes.IndexByte(data[pos:], '\n'); i >= 0 {
			next = pos + i + 1
		}
		switch text := data[pos:next]; {
		case isMarker(text, "---") && pos > start:
			out = append(out, document{name, startLine, data[start:pos]})
			start, startLine = pos, line
		case isMarker(text, "..."):
			out = append(out, document{name, startLine, data[start:next]})
			start, startLine = next, line+1
		}
		pos = next
	}
	return append(out, document{name, startLine, data[start:]})
}

func isMarker(line []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(marker))
	return ok && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

// eachDocument calls f for each document of a file, with what it makes up.
func eachDocument(name string, data []byte, f func(d document, value json.RawMessage) error) error {
	if len(data) > k8ssource.MaxFileSize {
		return &k8ssource.FileError{File: name, Line: 1, Text: fmt.Sprintf("the file is over %d bytes; split it", k8ssource.MaxFileSize)}
	}
	for _, d := range split(name, data) {
		value, err := sigsyaml.YAMLToJSON(d.text)
		if err != nil {
			return d.syntaxError(err)
		}
		if len(value) == 0 || value[0] != '{' && !bytes.Equal(value, []byte("null")) {
			return &k8ssource.FileError{File: name, Line: d.line, Text: "this is not a Kubernetes object; write apiVersion, kind, metadata and spec"}
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
	if _, err := sigsyaml.YAMLToJSONStrict(d.text); err != nil {
		return d.syntaxError(err)
	}
	return nil
}

var yamlLine = regexp.MustCompile(`(?s)line (\d+): (.*)`)

// syntaxError is an error of the YAML parser, whose lines count from the document's.
func (d document) syntaxError(err error) error {
	e := &k8ssource.FileError{File: d.file, Line: d.line, Text: err.Error()}
	if m := yamlLine.FindStringSubmatch(e.Text); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			e.Line += min(n-1, bytes.Count(d.text, []byte("\n")))
		}
		e.Text = m[2]
	}
	e.Text, _, _ = strings.Cut(e.Text, "\n")
	e.Text = k8ssource.YAMLText(strings.TrimPrefix(e.Text, "yaml: "))
	return e
}
