package jsonscan

import "testing"

func TestFolded(t *testing.T) {
	for name, want := range map[string]string{
		"model": "model", "Model": "model", "top_k2": "topk2", "maxTokens": "maxtokens", "\u017ftore": "store", "Store\u017f": "stores", "\u212aey": "key",
		"a-b c.": "abc", "model\x00x": "model", "Model\x00x": "model", "\x00": "", "mod\xffel": "model", "mod\ufffdel": "model", "mod\u00e9l": "modl", "_": "", "": "",
	} {
		before := []byte(name)
		if got := string(Folded(before)); got != want || string(before) != name {
			t.Errorf("%q is folded to %q, want %q", name, got, want)
		}
	}
}
