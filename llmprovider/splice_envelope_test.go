package llmprovider

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// TestEnvelope holds what a cloud's envelope makes of a body, and that it leaves JSON
// whatever members the body has and in whatever order.
func TestEnvelope(t *testing.T) {
	version := []byte(`"v":"1"`)
	for _, test := range []struct {
		body string
		drop bool
		want string
	}{
		{`{"model":"m","a":1}`, false, `{"v":"1","a":1}`},
		{`{"a":1, "model" : "m" }`, false, `{"a":1, "v":"1" }`},
		{`{"model":"m","stream":true}`, false, `{"v":"1","stream":true}`},
		{`{"model":"m","stream":true}`, true, `{"v":"1"}`},
		{`{"stream":true,"model":"m"}`, true, `{"v":"1"}`},
		{`{"model":"m","a":1,"stream":true,"b":2}`, true, `{"v":"1","a":1,"b":2}`},
		{`{"stream" : true , "a":1}`, true, `{"v":"1" , "a":1}`},
		{`{"a":1}`, true, `{"v":"1","a":1}`},
		{`{}`, true, `{"v":"1"}`},
		{` { } `, false, ` {"v":"1" } `},
		{`{"stream":null}`, true, `{"v":"1"}`},
		{`{"stream":false}`, false, `{"v":"1","stream":false}`},
	} {
		if got := spliced(t, test.body, Edits{Envelope: version, DropStream: test.drop, Model: modelX}); got != test.want {
			t.Errorf("%s: %s, want %s", test.body, got, test.want)
		}
	}

	members := []string{`"model":"m"`, `"stream" :true`, `"a":{"model":1,"stream":[]}`, `"stream_options":{}`}
	for bits := range 1 << len(members) {
		for shift := range members {
			var chosen []string
			for i := range members {
				if j := (i + shift) % len(members); bits&(1<<j) != 0 {
					chosen = append(chosen, members[j])
				}
			}
			for _, comma := range []string{",", " ,\n "} {
				body := "{" + strings.Join(chosen, comma) + "}"
				for _, drop := range []bool{false, true} {
					var before, after map[string]any
					if err := json.Unmarshal([]byte(body), &before); err != nil {
						t.Fatal(err)
					}
					got, err := Edited([]byte(body), &Edits{Envelope: version, DropStream: drop})
					if err == nil {
						err = json.Unmarshal(got, &after)
					}
					before["v"] = "1"
					delete(before, "model")
					if drop {
						delete(before, "stream")
					}
					if err != nil || !reflect.DeepEqual(before, after) {
						t.Errorf("%s: %s, %v", body, got, err)
					}
				}
			}
		}
	}
	if _, err := Edited([]byte(`[1]`), &Edits{Envelope: version}); err == nil {
		t.Error("no object, and no error")
	}
}
