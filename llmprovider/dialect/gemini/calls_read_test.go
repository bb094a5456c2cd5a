package gemini

import (
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// Results belong to the calls that clients mean: by id, and by name and order where the
// call has no id. Gemini CLI then makes ids for the results alone. A result of a call that
// has another id is refused.
func TestResultsOfCallsWithoutIDs(t *testing.T) {
	for _, tc := range []struct{ name, calls, results, want string }{ // calls and results: name and id, or name alone
		{"neither has an id", "f f", "f f", "call_1_0 call_1_1"},
		{"results alone have ids", "f f", "f:f-1732-a f:f-1732-b", "call_1_0 call_1_1"},
		{"of several functions, in another order", "f g f", "g:g-1 f:f-1 f:f-2", "call_1_1 call_1_0 call_1_2"},
		{"one call has an id", "f:a f", "f:f-1 f:a", "call_1_1 a"},
		{"one result has an id", "f f", "f f:f-1", "call_1_0 call_1_1"},
		{"the id of another call", "f:a", "f:b", "refused"},
		{"more results than calls", "f", "f:f-1 f:f-2", "refused"},
		{"two results of one id", "f:a f", "f:a f:a", "refused"},
		{"another function", "f", "g:f-1", "refused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			parts := func(member, list, rest string) string {
				var out []string
				for one := range strings.FieldsSeq(list) {
					name, id, _ := strings.Cut(one, ":")
					if id != "" {
						id = `"id":"` + id + `",`
					}
					out = append(out, `{"`+member+`":{`+id+`"name":"`+name+`",`+rest+`}}`)
				}
				return strings.Join(out, ",")
			}
			body := `{"contents":[{"parts":[{"text":"a"}]},{"role":"model","parts":[` + parts("functionCall", tc.calls, `"args":{}`) + `]},{"role":"user","parts":[` + parts("functionResponse", tc.results, `"response":{"output":"r"}`) + `]}]}`
			r, refused := dialect.Read(API, []byte(body), dialect.Call{})
			if refused != nil {
				if tc.want != "refused" || refused.Status != 400 || refused.Param != "contents[].parts[].functionResponse.name" {
					t.Errorf("%+v", refused)
				}
				return
			}
			var ids []string
			for _, p := range r.Turns[2].Parts {
				ids = append(ids, p.Result.ID)
			}
			if got := strings.Join(ids, " "); got != tc.want {
				t.Errorf("the results are of %s, not of %s", got, tc.want)
			}
		})
	}
}
