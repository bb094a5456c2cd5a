package spec

import (
	"reflect"
	"testing"

	"github.com/caddy-llm/gateway/llmroute/filter"
)

// TestCopiesHaveAllOfARule holds that what a source says of a rule is what is used.
func TestCopiesHaveAllOfARule(t *testing.T) {
	rule := new(Rule)
	v := reflect.ValueOf(rule).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if !f.CanSet() {
			continue
		}
		switch f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Int:
			f.SetInt(3)
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case reflect.Struct:
			f.Set(reflect.ValueOf(filter.Object{Kind: "LLMRoute", Namespace: "ns", Name: "x"}))
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		default:
			t.Fatalf("a field of kind %s: set it here", f.Kind())
		}
	}
	copied := reflect.ValueOf((&Route{Rules: []*Rule{rule}}).Copy().Rules[0]).Elem()
	for i := range v.NumField() {
		if v.Field(i).CanSet() && !reflect.DeepEqual(copied.Field(i).Interface(), v.Field(i).Interface()) {
			t.Errorf("%s is %v, want %v", v.Type().Field(i).Name, copied.Field(i), v.Field(i))
		}
	}
}
