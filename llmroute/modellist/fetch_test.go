package modellist

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
)

// listing is a provider whose lists are what answer says.
type listing struct {
	lists  []string
	answer func(u *url.URL) (status int, body string)
	asked  []string
}

func (l *listing) ModelLists() ([]*url.URL, *llmprovider.Error) {
	var out []*url.URL
	for _, list := range l.lists {
		out = append(out, &url.URL{Scheme: "http", Host: "a.example", Path: list, RawQuery: "size=1"})
	}
	return out, nil
}

func (l *listing) ModelsRequest(ctx context.Context, u *url.URL, _ []string) (*http.Request, *llmprovider.Error) {
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	return r, nil
}

func (l *listing) RoundTrip(r *http.Request) (*http.Response, error) {
	l.asked = append(l.asked, r.URL.RequestURI())
	status, body := l.answer(r.URL)
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// TestPagesOfModels holds that lists in pages are read to their end, of which there is
// one whatever the provider says.
func TestPagesOfModels(t *testing.T) {
	pages := map[string][2]string{ // what a page says of the next one, and how that is asked for
		"Google's":    {`{"nextPageToken":"n/%d&","models":[{"name":"models/m%d"}]}`, "pageToken=n%%2F%d%%26&size=1"},
		"Vertex AI's": {`{"nextPageToken":"n/%d&","publisherModels":[{"name":"publishers/google/models/m%d"}]}`, "pageToken=n%%2F%d%%26&size=1"},
		"AWS's":       {`{"nextToken":"n/%d&","inferenceProfileSummaries":[{"inferenceProfileId":"m%d"}]}`, "nextToken=n%%2F%d%%26&size=1"},
		"Anthropic's": {`{"has_more":true,"last_id":"n/%d&","data":[{"type":"model","id":"m%d"}]}`, "after_id=n%%2F%d%%26&size=1"},
	}
	for name, page := range pages {
		for _, last := range []int{0, 1, 3, 1 << 20} {
			n := 0
			l := &listing{lists: []string{"/l"}, answer: func(u *url.URL) (int, string) {
				body := fmt.Sprintf(page[0], n, n)
				if n == last {
					body = strings.NewReplacer(fmt.Sprintf("n/%d&", n), "", "true", "false").Replace(body)
				}
				n++
				return 200, body
			}}
			models, err := Ask(t.Context(), l, nil, l.RoundTrip)
			want := min(last+1, maxPages)
			if len(models) != want || models[0].ID != "m0" || (err != nil) != (last > maxPages) {
				t.Errorf("%s, %d: %d models, %v", name, last, len(models), err)
			}
			if last > 0 && l.asked[1] != "/l?"+fmt.Sprintf(page[1], 0) {
				t.Errorf("%s: %q", name, l.asked)
			}
		}
	}
}

// TestListsOfModels holds that what one list has is there without the others, and that
// all of them together are bounded.
func TestListsOfModels(t *testing.T) {
	many := `{"data":[` + strings.Repeat(`{"id":"m"},`, Max-1) + `{"id":"m"}]}`
	for name, tc := range map[string]struct {
		status int
		second string
		models int
		err    string
	}{
		"two":             {200, `{"data":[{"id":"b"}]}`, 2, ""},
		"none":            {200, `{"data":[]}`, 1, ""},
		"forbidden":       {403, `{"data":[{"id":"b"}]}`, 1, "status 403"},
		"no list":         {200, `{"message":"no"}`, 1, "not a list"},
		"no JSON":         {200, `{"data":[{"id":"b"}`, 1, "not valid JSON"},
		"too many":        {200, many, Max, ""},
		"too long":        {200, strings.Repeat(" ", maxSize), 1, "bytes long"},
		"too long a name": {200, `{"nextToken":"` + strings.Repeat("n", 4096+1) + `","data":[]}`, 1, "too long"},
	} {
		l := &listing{lists: []string{"/a", "/b"}, answer: func(u *url.URL) (int, string) {
			if u.Path == "/a" {
				return 200, `{"data":[{"id":"a"}]}`
			}
			return tc.status, tc.second
		}}
		models, err := Ask(t.Context(), l, nil, l.RoundTrip)
		if len(models) != tc.models || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) || !slices.Equal(l.asked, []string{"/a?size=1", "/b?size=1"}) {
			t.Errorf("%s: %d models, %v, asked %q", name, len(models), err, l.asked)
		}
	}
}
