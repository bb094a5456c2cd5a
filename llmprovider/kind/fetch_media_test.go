package kind

import (
	"strings"
	"testing"
)

func TestCheckFetchMedia(t *testing.T) {
	for _, test := range []struct {
		setting *FetchMedia
		has     bool
		want    string
	}{
		{nil, false, ""}, {new(FetchMedia), true, ""}, {&FetchMedia{MaxSize: maxMediaSize}, true, ""},
		{new(FetchMedia), false, "fetch them themselves"}, {&FetchMedia{MaxSize: -1}, true, "1 GiB"}, {&FetchMedia{MaxSize: maxMediaSize + 1}, true, "1 GiB"},
	} {
		err := test.setting.Check(&Traits{FetchesMedia: test.has})
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: got %v", test.setting, err)
		}
	}
}
