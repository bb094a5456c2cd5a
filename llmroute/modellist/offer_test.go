package modellist

import (
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
)

// TestMerge holds which models clients are told of, and whose they are.
func TestMerge(t *testing.T) {
	a := Provided{Owner: "a", Models: []Model{{ID: "m-1"}, {ID: "m-2"}}}
	b := Provided{Owner: "b", Models: []Model{{ID: "m-2"}, {ID: "named"}, {ID: "other"}}}
	anything := func(string) bool { return true }
	for name, test := range map[string]struct {
		offers []Offer
		denied string
		want   []string
	}{
		"each once, the first provider's": {[]Offer{{Takes: anything, Of: []Provided{a, b}}}, "", []string{"m-1 a", "m-2 a", "named b", "other b"}},
		"what the rule takes":             {[]Offer{{Takes: func(id string) bool { return id == "other" }, Of: []Provided{a, b}}}, "", []string{"other b"}},
		"a name that nobody lists":        {[]Offer{{Named: []string{"x"}, Takes: anything, Of: []Provided{a}}}, "", []string{"x a", "m-1 a", "m-2 a"}},
		"a name that the second lists":    {[]Offer{{Named: []string{"named"}, Takes: func(id string) bool { return id == "named" }, Of: []Provided{a, b}}}, "", []string{"named b"}},
		"several rules":                   {[]Offer{{Takes: anything, Of: []Provided{a}}, {Takes: anything, Of: []Provided{b}}}, "", []string{"m-1 a", "m-2 a", "named b", "other b"}},
		"what the client may not ask for": {[]Offer{{Takes: anything, Of: []Provided{a}}}, "m-1", []string{"m-2 a"}},
	} {
		var got []string
		for _, m := range Merge(test.offers, func(id string) bool { return id != test.denied }) {
			got = append(got, m.ID+" "+m.Owner)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestWrite(t *testing.T) {
	list := []Owned{{Model{ID: "m"}, "a"}}
	for _, test := range []struct {
		method string
		one    bool
		want   string
	}{
		{"GET", false, `{"object":"list","data":[{"id":"m","object":"model","created":0,"owned_by":"a"}]}`},
		{"GET", true, `{"id":"m","object":"model","created":0,"owned_by":"a"}`},
		{"HEAD", true, ""},
	} {
		w := httptest.NewRecorder()
		if err := Write(w, httptest.NewRequest(test.method, "/v1/models", nil), list, llmprovider.OpenAIAPI, test.one); err != nil || w.Body.String() != test.want {
			t.Errorf("%s, one %v: %q, want %q, error %v", test.method, test.one, w.Body, test.want, err)
		}
	}
}
