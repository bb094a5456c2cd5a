package provider

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
)

// TestAllSecretsOfProvidersAreFollowed holds that each field of an LLMProvider that names a
// Secret has it read.
func TestAllSecretsOfProvidersAreFollowed(t *testing.T) {
	var p v1beta1.LLMProvider
	p.Namespace, p.Spec.Host = "ns", "a.example.com"
	named := 0
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if v.Type().Elem().Kind() != reflect.Struct {
				return
			}
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			if ref, ok := v.Interface().(*v1beta1.SecretKeyRef); ok {
				named++
				ref.Name, ref.Key = fmt.Sprintf("s%d", named), "k"
				return
			}
			fill(v.Elem())
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Field(i).CanSet() {
					fill(v.Field(i))
				}
			}
		}
	}
	fill(reflect.ValueOf(&p.Spec))
	followed := make(map[string]bool)
	for _, ref := range References(&p) {
		followed[ref.Name] = true
	}
	for i := range named {
		if name := fmt.Sprintf("s%d", i+1); !followed[name] {
			t.Errorf("the Secret of field %d is not followed", i+1)
		}
	}
	if named < 5 {
		t.Errorf("there are %d fields", named)
	}
}
