package v1alpha1_test

import (
	"encoding/json"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
)

// TestScheme holds that objects are decoded with the package's scheme, and copied whole.
func TestScheme(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	got, _, err := decoder.Decode([]byte("apiVersion: caddy-llm.github.io/v1alpha1\nkind: LLMLimit\nmetadata: {name: a}\nspec: {concurrent: 3, amounts: [{unit: cost, amount: \"0.50\", window: month}]}\n"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	limit := got.(*v1alpha1.LLMLimit)
	if *limit.Spec.Concurrent != 3 || limit.Spec.Amounts[0].Amount != "0.50" {
		t.Errorf("decoded %+v", limit.Spec)
	}
	copied := limit.DeepCopy()
	*copied.Spec.Concurrent, copied.Spec.Amounts[0].Unit = 4, "tokens"
	if *limit.Spec.Concurrent != 3 || limit.Spec.Amounts[0].Unit != "cost" {
		t.Error("the copy shares something with the object")
	}
}

// TestNumbers holds that a number is read as it is written, and written so that an API
// server takes it.
func TestNumbers(t *testing.T) {
	for text, want := range map[string]string{
		`5`: `5`, `"5"`: `5`, `"0.50"`: `"0.50"`, `0.5`: `"0.5"`, `5000000000`: `5000000000`, `"x"`: `"x"`, `-1`: `"-1"`, `null`: `""`, `"007"`: `"007"`,
	} {
		var n v1alpha1.Number
		if err := json.Unmarshal([]byte(text), &n); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got, err := json.Marshal(n); err != nil || string(got) != want {
			t.Errorf("%s is written as %s (%v), want %s", text, got, err, want)
		}
	}
	for _, text := range []string{`true`, `{}`, `[1]`} {
		var n v1alpha1.Number
		if json.Unmarshal([]byte(text), &n) == nil {
			t.Errorf("%s is taken for a number", text)
		}
	}
}
