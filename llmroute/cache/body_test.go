package cache

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// notInNames is what careless decoders may leave out of the name of a member.
var notInNames = regexp.MustCompile(`[^A-Za-z0-9\x{17f}\x{212a}]`)

// sameMembers reports whether two objects have the same members, each name's in the same
// order: another way to say what body does.
func sameMembers(a, b string) bool {
	members := func(s string) (list []member, ok bool) {
		ok = jsonscan.Object([]byte(s), func(name, value []byte) {
			read, _, _ := strings.Cut(string(jsonscan.Plain(name)), "\x00")
			list = append(list, member{notInNames.ReplaceAll([]byte(read), nil), name, value})
		})
		return list, ok
	}
	left, ok := members(a)
	right, also := members(b)
	if !ok || !also || len(left) != len(right) {
		return false
	}
	for _, m := range left {
		of := func(list []member) (same []member) {
			for _, other := range list {
				if bytes.EqualFold(m.folded, other.folded) {
					same = append(same, other)
				}
			}
			return same
		}
		if !slices.EqualFunc(of(left), of(right), func(x, y member) bool { return bytes.Equal(x.name, y.name) && bytes.Equal(x.value, y.value) }) {
			return false
		}
	}
	return true
}
