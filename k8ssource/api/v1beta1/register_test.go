package v1beta1_test

import (
	"encoding/json"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	v1 "github.com/caddy-llm/gateway/k8ssource/api/v1"
	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
)

// TestImports holds that a program with these types gets neither Caddy nor the
// rest of the gateway.
func TestImports(t *testing.T) {
	const module = "github.com/caddy-llm/gateway/"
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", module+"k8ssource/api/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range strings.Lines(string(out)) {
		pkg = strings.TrimSpace(pkg)
		ours := strings.HasPrefix(pkg, module) && !strings.HasPrefix(pkg, module+"k8ssource/api/")
		if ours || strings.Contains(pkg, "caddyserver") || strings.HasPrefix(pkg, "k8s.io/client-go") {
			t.Errorf("imports %s", pkg)
		}
	}
}

// kinds are the objects and lists of both versions.
func kinds() map[schema.GroupVersionKind]runtime.Object {
	gvk := func(version, kind string) schema.GroupVersionKind {
		return schema.GroupVersionKind{Group: v1beta1.Group, Version: version, Kind: kind}
	}
	return map[schema.GroupVersionKind]runtime.Object{
		gvk("v1beta1", "LLMProvider"):     &v1beta1.LLMProvider{},
		gvk("v1beta1", "LLMProviderList"): &v1beta1.LLMProviderList{},
		gvk("v1beta1", "LLMRoute"):        &v1beta1.LLMRoute{},
		gvk("v1beta1", "LLMRouteList"):    &v1beta1.LLMRouteList{},
		gvk("v1", "LLMProvider"):          &v1.LLMProvider{},
		gvk("v1", "LLMProviderList"):      &v1.LLMProviderList{},
		gvk("v1", "LLMRoute"):             &v1.LLMRoute{},
		gvk("v1", "LLMRouteList"):         &v1.LLMRouteList{},
	}
}

// TestScheme holds that both versions fit into one scheme, in which each type has
// one kind, and that objects are decoded with it.
func TestScheme(t *testing.T) {
	scheme := runtime.NewScheme()
	builder := runtime.NewSchemeBuilder(v1beta1.AddToScheme, v1.AddToScheme)
	if err := builder.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	for gvk, object := range kinds() {
		if got, _, err := scheme.ObjectKinds(object); err != nil || len(got) != 1 || got[0] != gvk {
			t.Errorf("%T has the kinds %v (%v), want %v", object, got, err, gvk)
		}
		text := "apiVersion: " + gvk.GroupVersion().String() + "\nkind: " + gvk.Kind + "\n"
		got, _, err := decoder.Decode([]byte(text), nil, nil)
		if err != nil || reflect.TypeOf(got) != reflect.TypeOf(object) {
			t.Errorf("%s is decoded as %T (%v), want %T", gvk, got, err, object)
		}
	}
	provider, _, err := decoder.Decode([]byte("apiVersion: istio.alibabacloud.com/v1\nkind: LLMProvider\nmetadata: {name: a}\nspec: {host: api.example.com, timeouts: {idle: 5m}}\n"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if spec := provider.(*v1.LLMProvider).Spec; spec.Host != "api.example.com" || spec.Timeouts.Idle != "5m" {
		t.Errorf("decoded %+v", spec)
	}
}

// TestDeepCopy holds that a copy of an object with every field set is equal to it
// and shares nothing with it.
func TestDeepCopy(t *testing.T) {
	for _, object := range kinds() {
		fill(reflect.ValueOf(object).Elem(), 0)
		copied := object.DeepCopyObject()
		if !reflect.DeepEqual(object, copied) {
			t.Errorf("%T: the copy is another object", object)
		}
		shared(t, reflect.TypeOf(object).String(), reflect.ValueOf(object), reflect.ValueOf(copied))
	}
}

// TestVersions holds that the versions have the same JSON.
func TestVersions(t *testing.T) {
	for gvk, object := range kinds() {
		if gvk.Version != "v1beta1" {
			continue
		}
		fill(reflect.ValueOf(object).Elem(), 0)
		before, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		gvk.Version = "v1"
		other := kinds()[gvk]
		if err := json.Unmarshal(before, other); err != nil {
			t.Fatal(err)
		}
		if after, err := json.Marshal(other); err != nil || string(after) != string(before) {
			t.Errorf("%T is %s (%v), want %s", other, after, err, before)
		}
	}
}

// fill sets every exported field to something that is not its zero value. Types of
// Kubernetes that hold themselves are filled to some depth.
func fill(v reflect.Value, depth int) {
	if depth > 12 {
		return
	}
	if v.Type() == reflect.TypeFor[metav1.Time]() {
		v.Set(reflect.ValueOf(metav1.Unix(1700000000, 0)))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(`{}`))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth+1)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, depth+1)
		fill(value, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	}
}

// shared reports pointers, maps and lists that a and b, of the same shape, both
// hold.
func shared(t *testing.T, path string, a, b reflect.Value) {
	t.Helper()
	switch a.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		if a.IsNil() || a.Kind() == reflect.Slice && a.Len() == 0 {
			return
		}
		// All times share Go's name of the time zone.
		if a.Pointer() == b.Pointer() && a.Type().String() != "*time.Location" {
			t.Errorf("%s is shared", path)
			return
		}
	}
	switch a.Kind() {
	case reflect.Pointer:
		if a.Type().String() != "*time.Location" {
			shared(t, path, a.Elem(), b.Elem())
		}
	case reflect.Struct:
		for i := range a.NumField() {
			shared(t, path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
		}
	case reflect.Slice:
		for i := range a.Len() {
			shared(t, path+"[]", a.Index(i), b.Index(i))
		}
	case reflect.Map:
		for _, key := range a.MapKeys() {
			shared(t, path+"{}", a.MapIndex(key), b.MapIndex(key))
		}
	}
}
