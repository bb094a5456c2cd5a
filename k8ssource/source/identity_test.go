package source

import (
	"reflect"
	"testing"
)

func TestIdentityFromEnvironment(t *testing.T) {
	for name, test := range map[string]struct {
		given Settings
		env   map[string]string
		want  Settings
		err   string
	}{
		"nothing":          {},
		"all":              {env: map[string]string{"LLM_NAMESPACE": "ns", "LLM_LABELS": "a=b,c=", "LLM_WORKLOAD": "w"}, want: Settings{Namespace: "ns", Labels: map[string]string{"a": "b", "c": ""}, Workload: "w"}},
		"options win":      {given: Settings{Namespace: "x", Labels: map[string]string{"d": "e"}, Workload: "y"}, env: map[string]string{"LLM_NAMESPACE": "ns", "LLM_LABELS": "a=b", "LLM_WORKLOAD": "w"}, want: Settings{Namespace: "x", Labels: map[string]string{"d": "e"}, Workload: "y"}},
		"no labels":        {env: map[string]string{"LLM_LABELS": ""}, want: Settings{Labels: map[string]string{}}},
		"no label":         {env: map[string]string{"LLM_LABELS": "a=b,c"}, err: `LLM_LABELS: "c" is not a label; write name=value, such as app=sleep`},
		"a trailing comma": {env: map[string]string{"LLM_LABELS": "a=b,"}, want: Settings{Labels: map[string]string{"a": "b"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := test.given
			err := got.FromEnvironment(func(name string) (string, bool) { v, ok := test.env[name]; return v, ok })
			switch {
			case test.err != "":
				if err == nil || err.Error() != test.err {
					t.Errorf("got %v, want %s", err, test.err)
				}
			case err != nil || !reflect.DeepEqual(got, test.want):
				t.Errorf("got %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

func TestParseDownwardLabels(t *testing.T) {
	got, err := parseDownwardLabels([]byte("app=\"sleep\"\nempty=\"\"\n\nexample.com/x=\"a \\\"b\\\" \\u00e4\""))
	want := map[string]string{"app": "sleep", "empty": "", "example.com/x": `a "b" ä`}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for text, want := range map[string]string{
		"app=sleep":      `line 1 is not of the form name="value"`,
		"a=\"b\"\nc":     `line 2 is not of the form name="value"`,
		"=\"b\"":         `line 1 is not of the form name="value"`,
		"app=\"sleep\"x": `line 1 is not of the form name="value"`,
	} {
		if _, err := parseDownwardLabels([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}
