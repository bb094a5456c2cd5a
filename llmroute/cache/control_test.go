package cache

import (
	"net/http"
	"testing"
	"time"
)

func TestControl(t *testing.T) {
	any := control{maxAge: -1}
	for _, test := range []struct {
		header http.Header
		want   control
	}{
		{http.Header{}, any},
		{http.Header{"Cache-Control": {""}}, any},
		{http.Header{"Cache-Control": {"no-transform, max-stale=5, unknown"}}, any},
		{http.Header{"Cache-Control": {"NO-STORE"}}, control{noStore: true, maxAge: -1}},
		{http.Header{"Cache-Control": {"max-age=60", "no-cache"}}, control{noCache: true, maxAge: time.Minute}},
		{http.Header{"Cache-Control": {" max-age=0 "}}, control{noCache: true, maxAge: 0}},
		{http.Header{"Cache-Control": {`max-age="60", max-age=30`}}, control{maxAge: 30 * time.Second}},
		{http.Header{"Cache-Control": {"max-age=soon"}}, control{noCache: true}},
		{http.Header{"Cache-Control": {"max-age=99999999999999999999"}}, control{noCache: true}},
		{http.Header{"Cache-Control": {"max-age=9999999999999"}}, control{maxAge: MaxTTL}},
		{http.Header{"Cache-Control": {"min-fresh=5,only-if-cached"}}, control{maxAge: -1, minFresh: 5 * time.Second, onlyIfCached: true}},
		{http.Header{"Cache-Control": {"min-fresh=x"}}, control{maxAge: -1, minFresh: MaxTTL}},
		{http.Header{"Pragma": {"No-Cache"}}, control{noCache: true, maxAge: -1}},
		{http.Header{"Pragma": {"no-cache"}, "Cache-Control": {"max-age=5"}}, control{maxAge: 5 * time.Second}},
	} {
		if got := readControl(test.header); got != test.want {
			t.Errorf("%v: %+v, want %+v", test.header, got, test.want)
		}
	}
	for value, want := range map[string]bool{"no-store": true, "private, NO-STORE": true, "no-cache, private": false, `no-store="x"`: true, "x-no-store": false, "": false} {
		if got := forbidsStore(http.Header{"Cache-Control": {value}}); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}
