package object

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/internal/objectfile"
	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
)

const (
	// MaxFileSize is the largest file that is read, in bytes.
	MaxFileSize = 32 << 20

	// maxDocumentSize is the largest document, in bytes. A cluster takes objects
	// of 1.5 MiB.
	maxDocumentSize = 2 << 20

	sliceGroup = "discovery.k8s.io"

	// maxObjects is the most objects of one file, those of other kinds included.
	maxObjects = 50_000
)

// FileError is a file that is not YAML, or not made of Kubernetes objects.
type FileError struct {
	File string
	Line int // from 1
	Text string
}

// Error implements error.
func (e *FileError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text) }

// Decode reads the objects of a file with any number of YAML documents. Objects
// of other kinds are left out. The error is a *FileError: a file that is not
// YAML; what is wrong with single objects is in their Faults.
func Decode(file string, data []byte) (*Set, error) {
	return DecodeIn(DefaultNamespace, file, data)
}

// DecodeIn is Decode for files of a namespace: objects that name none are in it. An
// empty one is `default`.
func DecodeIn(namespace, file string, data []byte) (*Set, error) {
	if len(data) > MaxFileSize {
		return nil, &FileError{file, 1, fmt.Sprintf("the file is over %d bytes; split it", MaxFileSize)}
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if i := firstInvalid(data); i >= 0 {
		return nil, &FileError{file, 1 + bytes.Count(data[:i], []byte("\n")), "the file is not UTF-8 text; save it as UTF-8"}
	}
	d := &decoder{file: file, namespace: cmp.Or(namespace, DefaultNamespace), objects: new(Set), schemas: newSchemas()}
	documents, moreAt := split(data)
	if moreAt > 0 {
		return nil, &FileError{file, moreAt, objectfile.More}
	}
	for _, doc := range documents {
		if err := d.document(doc); err != nil {
			return nil, err
		}
	}
	return d.objects, nil
}

// DecodeObject reads one object as JSON, such as an API server sends it. An
// object of another kind is left out, and then there is none in the result.
// What is wrong with the object is in its Faults; the error is data that is no
// object at all.
func DecodeObject(data []byte) (*Set, error) {
	d := &decoder{namespace: DefaultNamespace, objects: new(Set), schemas: newSchemas()}
	if !json.Valid(data) {
		return nil, errors.New("this is not JSON")
	}
	var fe *FileError
	if err := d.value(data, 0, nil, noList); errors.As(err, &fe) {
		return nil, errors.New(fe.Text)
	}
	return d.objects, nil
}

func firstInvalid(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return -1
}

type decoder struct {
	file      string
	namespace string // of objects that name none
	objects   *Set
	schemas   Schemas
	count     int
}

func (d *decoder) document(doc document) error {
	if len(doc.text) > maxDocumentSize {
		return &FileError{d.file, doc.line, fmt.Sprintf("the document is over %d bytes; split it at its objects with lines of ---", maxDocumentSize)}
	}
	var faults []Fault
	data, twice, err := objectfile.ToJSON(doc.text)
	switch {
	case err != nil:
		return d.syntaxError(doc, err)
	case twice != nil && twice.Root && (twice.Field == "kind" || twice.Field == "apiVersion"):
		// Most likely another object, of which one would be left out.
		return &FileError{d.file, doc.line + twice.Line - 1, "the field " + twice.Field + " is there twice; write a line of --- where another object begins"}
	case twice != nil:
		// It spoils its object and not the file.
		faults = append(faults, Fault{Reason: ReasonInvalidField, Message: fieldTwice(twice.Field) + "; keep one of them"})
	}
	return d.value(data, doc.line, faults, 0)
}

const (
	// maxLists is how deep lists may be inside of lists.
	maxLists = 4
	// noList is the depth of what can be no list.
	noList = -1
)

// value takes in an object or, if it is a list, those in it. depth is of how many lists
// it is an item.
func (d *decoder) value(data []byte, line int, faults []Fault, depth int) error {
	if d.count++; d.count > maxObjects {
		return &FileError{d.file, line, fmt.Sprintf("the file has more than %d objects; split it", maxObjects)}
	}
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	if len(data) == 0 || data[0] != '{' {
		return &FileError{d.file, line, "this is not a Kubernetes object; write apiVersion, kind, metadata and spec"}
	}
	var head map[string]json.RawMessage // in which names are as they are written
	if json.Unmarshal(data, &head) != nil {
		return &FileError{d.file, line, "this is nested too deeply for a Kubernetes object"}
	}
	t := metav1.TypeMeta{Kind: textOf(head["kind"]), APIVersion: textOf(head["apiVersion"])}
	if kind, ok := strings.CutSuffix(t.Kind, "List"); ok && depth != noList {
		if raw := head["items"]; d.wanted(kind, t.APIVersion) || areObjects(raw) {
			return d.list(metav1.TypeMeta{Kind: kind, APIVersion: t.APIVersion}, raw, line, faults, depth)
		}
	}
	d.object(t, data, line, slices.Clip(faults))
	return nil
}

// textOf is a JSON value that is text, or empty.
func textOf(raw json.RawMessage) (text string) {
	_ = json.Unmarshal(raw, &text)
	return text
}

// wanted reports whether lists of a kind have something that is read. That of List can
// have anything.
func (d *decoder) wanted(kind, apiVersion string) bool {
	group, _, _ := strings.Cut(apiVersion, "/")
	switch kind {
	case "", "Service", "Pod", "Namespace", KindSecret, KindConfigMap:
		return apiVersion == "v1"
	case "EndpointSlice":
		return group == sliceGroup
	case KindInferencePool:
		return group == PoolGroup
	case KindGateway:
		return group == IstioGroup || group == gatewayapi.Group
	case gatewayapi.KindGatewayClass, gatewayapi.KindHTTPRoute, gatewayapi.KindReferenceGrant:
		return group == gatewayapi.Group
	}
	return group == v1beta1.Group || isTypo(group) || group == SecurityGroup || isOwnGroup(group)
}

// areObjects reports whether items are those of a list, of whatever kind.
func areObjects(items json.RawMessage) bool {
	var objects []map[string]json.RawMessage
	return len(items) > 0 && json.Unmarshal(items, &objects) == nil
}

// list takes in the items of a list. In one of a kind, such as LLMProviderList, the items
// need not say which kind they are.
func (d *decoder) list(of metav1.TypeMeta, raw json.RawMessage, line int, faults []Fault, depth int) error {
	var items []json.RawMessage
	switch {
	case depth >= maxLists:
		return &FileError{d.file, line, "there are lists inside of lists; write the objects in one list"}
	case len(raw) == 0:
		return &FileError{d.file, line, "the list has no items; write the objects under items"}
	case json.Unmarshal(raw, &items) != nil:
		return &FileError{d.file, line, "items is not a list; write each object after a dash"}
	}
	for _, item := range items {
		if of.Kind != "" {
			item = typed(item, of)
		}
		if err := d.value(item, line, faults, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// typed is an object with the kind and version of its list, if it has none.
func typed(item json.RawMessage, of metav1.TypeMeta) json.RawMessage {
	var head map[string]json.RawMessage
	if json.Unmarshal(item, &head) != nil || head == nil {
		return item // reported by value
	}
	changed := false
	for name, value := range map[string]string{"kind": of.Kind, "apiVersion": of.APIVersion} {
		if _, there := head[name]; there || value == "" {
			continue
		}
		head[name], _ = json.Marshal(value)
		changed = true
	}
	if !changed {
		return item
	}
	out, err := json.Marshal(head)
	if err != nil {
		return item
	}
	return out
}

// object takes in one object, if it is of a kind that is wanted.
func (d *decoder) object(t metav1.TypeMeta, data []byte, line int, faults []Fault) {
	o := d.objects
	group, version, _ := strings.Cut(t.APIVersion, "/")
	kind := MeantKind(t.Kind, securityKinds)
	if d.file != "" && kind == "" {
		d.seeNamespace(t, data)
	}
	switch {
	case t.Kind == "" || t.APIVersion == "":
		o.Strays = append(o.Strays, decode[Stray](d, data, line, append(faults,
			*Faultf(ReasonInvalidObject, "apiVersion and kind are both required; write the ones of the object's type, such as %s/%s and %s", Group, Versions[0], KindLLMProvider))))
	case isOwnGroup(group), MeantKind(t.Kind, ownKinds) != "" && isTypo(group):
		d.own(t, data, line, faults)
	case group == Group || isTypo(group):
		d.ours(t, group, version, data, line, faults)
	case t.APIVersion == "v1" && t.Kind == "Service":
		o.Services = append(o.Services, decode[Service](d, data, line, faults))
	case t.APIVersion == "v1" && t.Kind == "Secret":
		o.Secrets = append(o.Secrets, decode[Secret](d, data, line, faults))
	case t.APIVersion == "v1" && t.Kind == "ConfigMap":
		o.ConfigMaps = append(o.ConfigMaps, decode[ConfigMap](d, data, line, faults))
	case group == PoolGroup && t.Kind == KindInferencePool:
		if version != "v1" {
			faults = append(faults, *Faultf(ReasonInvalidObject, "apiVersion: this version is not supported; write %s/v1", PoolGroup))
		}
		o.Pools = append(o.Pools, decode[InferencePool](d, data, line, faults))
	case group == OldPoolGroup && t.Kind == KindInferencePool:
		o.Strays = append(o.Strays, decode[Stray](d, data, line, append(faults, *Faultf(ReasonInvalidObject, "apiVersion: this one has gone; write %s/v1, whose fields differ", PoolGroup))))
	case group == gatewayapi.Group:
		d.gatewayAPI(t.Kind, data, line, faults)
	case t.APIVersion == "v1" && t.Kind == "Namespace":
		o.NamespaceObjects = append(o.NamespaceObjects, decode[Stray](d, data, line, faults))
	case group == sliceGroup && t.Kind == "EndpointSlice":
		o.EndpointSlices = append(o.EndpointSlices, decode[EndpointSlice](d, data, line, faults))
	case t.APIVersion == "v1" && t.Kind == "Pod":
		d.pod(data, line, faults)
	case group == IstioGroup && t.Kind == "Gateway":
		o.Gateways = append(o.Gateways, decode[Gateway](d, data, line, strictly[Gateway](d, data, faults)))
	case group == SecurityGroup, kind != "" && !strings.HasSuffix(group, ".linkerd.io"): // which has one of its own
		d.security(t, data, line, faults)
	case isIstioTypo(group) && t.Kind == KindGateway:
		o.Strays = append(o.Strays, decode[Stray](d, data, line, append(faults,
			*Faultf(ReasonInvalidObject, "there is no such apiVersion of %s; write networking.istio.io/v1", KindGateway))))
	default:
		if found := podFaults(data); len(found) > 0 {
			o.Strays = append(o.Strays, decode[Stray](d, data, line, found))
		}
	}
}

// pod takes in a pod, which may be an endpoint, and says what is wrong with what it asks
// of the sidecar.
func (d *decoder) pod(data []byte, line int, faults []Fault) {
	d.objects.Pods = append(d.objects.Pods, decode[Pod](d, data, line, faults))
	if found := podFaults(data); len(found) > 0 {
		d.objects.Strays = append(d.objects.Strays, decode[Stray](d, data, line, found))
	}
}

// gatewayAPI takes in an object of Gateway API. Those of an API server have the fields of
// its version; in files, a field that is not known is most likely a mistake.
func (d *decoder) gatewayAPI(kind string, data []byte, line int, faults []Fault) {
	o := d.objects
	switch kind {
	case gatewayapi.KindGatewayClass:
		o.GatewayClasses = append(o.GatewayClasses, decode[gatewayapi.GatewayClass](d, data, line, faults))
	case gatewayapi.KindGateway:
		o.APIGateways = append(o.APIGateways, decode[gatewayapi.Gateway](d, data, line, inFile[gatewayapi.Gateway](d, data, faults)))
	case gatewayapi.KindHTTPRoute:
		o.HTTPRoutes = append(o.HTTPRoutes, decode[gatewayapi.HTTPRoute](d, data, line, inFile[gatewayapi.HTTPRoute](d, data, faults)))
	case gatewayapi.KindReferenceGrant:
		o.ReferenceGrants = append(o.ReferenceGrants, decode[gatewayapi.ReferenceGrant](d, data, line, inFile[gatewayapi.ReferenceGrant](d, data, faults)))
	}
}

// inFile is strictly for objects of files.
func inFile[T any](d *decoder, data []byte, faults []Fault) []Fault {
	if d.file == "" {
		return faults
	}
	return strictly[T](d, data, faults)
}

// seeNamespace notes which namespace an object is in, or is itself.
func (d *decoder) seeNamespace(t metav1.TypeMeta, data []byte) {
	var object Stray
	_ = json.Unmarshal(data, &object)
	if t.Kind == "Namespace" && t.APIVersion == "v1" {
		d.objects.inNamespace(object.Name)
		return
	}
	d.objects.inNamespace(cmp.Or(object.Namespace, d.namespace))
}

// MeantKind returns the one of the kinds that a kind is, or is most likely meant to be, or
// empty.
func MeantKind(kind string, known []string) string {
	for _, k := range known {
		if strings.EqualFold(kind, k) || strings.EqualFold(kind, k+"s") || strings.EqualFold(kind, strings.TrimSuffix(k, "y")+"ies") {
			return k
		}
	}
	return ""
}

// isTypo reports whether a group was most likely meant to be Group. Kinds of
// other groups may well have the same names.
func isTypo(group string) bool { return strings.Contains(strings.ToLower(group), "alibaba") }

// ours takes in an object of Group. The group has other kinds, which are left
// out as any other.
func (d *decoder) ours(t metav1.TypeMeta, group, version string, data []byte, line int, faults []Fault) {
	kind := MeantKind(t.Kind, []string{KindLLMProvider, KindLLMRoute, KindLocalRateLimiter, KindGlobalRateLimiter})
	switch {
	case kind == "":
		return
	case t.Kind != kind:
		faults = append(faults, *Faultf(ReasonInvalidObject, "there is no kind of that name; write %s", kind))
	case group != Group || version != Versions[0] && version != Versions[1]:
		faults = append(faults, *Faultf(ReasonInvalidObject, "there is no such apiVersion of %s; write %s/%s or %s/%s", kind, Group, Versions[0], Group, Versions[1]))
	}
	switch kind {
	case KindLocalRateLimiter:
		d.objects.LocalLimiters = append(d.objects.LocalLimiters, decode[RateLimiter](d, data, line, d.limiterFaults(data, faults)))
	case KindGlobalRateLimiter:
		d.objects.GlobalLimiters = append(d.objects.GlobalLimiters, decode[RateLimiter](d, data, line, d.limiterFaults(data, faults)))
	case KindLLMProvider:
		item := decode[v1beta1.LLMProvider](d, data, line, strictly[v1beta1.LLMProvider](d, data, faults))
		readOthers(data, &item.Object)
		d.objects.Providers = append(d.objects.Providers, item)
	default:
		d.objects.Routes = append(d.objects.Routes, decode[v1beta1.LLMRoute](d, data, line, strictly[v1beta1.LLMRoute](d, data, faults)))
	}
}

func (d *decoder) syntaxError(doc document, err error) error {
	var e *objectfile.Error
	if !errors.As(err, &e) {
		return err
	}
	if e.Text == objectfile.More {
		return &FileError{d.file, doc.line + e.Line - 1, e.Text}
	}
	return &FileError{d.file, doc.line + e.Line - 1, "this is not YAML: " + YAMLText(e.Text)}
}

// Bounded is outside text made fit for a message.
func Bounded(s string) string {
	const most = 128
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
