package gemini

import "testing"

// TestJSONSchema holds that types are in small letters wherever a schema stands, and that
// other values are left as they are.
func TestJSONSchema(t *testing.T) {
	for in, want := range map[string]string{
		`{"type":"OBJECT","additionalProperties":{"type":"STRING"}}`:                                `{"type":"object","additionalProperties":{"type":"string"}}`,
		`{"type":"OBJECT","additional_properties":{"type":"ARRAY","items":{"type":"INTEGER"}}}`:     `{"type":"object","additionalProperties":{"type":"array","items":{"type":"integer"}}}`,
		`{"type":"OBJECT","additionalProperties":false}`:                                            `{"type":"object","additionalProperties":false}`,
		`{"type":"OBJECT","properties":{"type":{"type":"STRING","enum":["A"],"example":"STRING"}}}`: `{"type":"object","properties":{"type":{"type":"string","enum":["A"],"example":"STRING"}}}`,
	} {
		if got, exact := jsonSchema([]byte(in)); string(got) != want || !exact {
			t.Errorf("%s is %s (exact: %t), want %s", in, got, exact, want)
		}
	}
}
