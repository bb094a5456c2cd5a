package source

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/caddy-llm/gateway/internal/options"
)

// ParsePortMap reads pairs such as 80:8080: the port that a Gateway names, and
// the one to listen on.
func ParsePortMap(pairs []string) (map[int]int, error) {
	if len(pairs) == 0 {
		return nil, errors.New("at least one pair of ports is needed, such as 80:8080")
	}
	out := make(map[int]int, len(pairs))
	for _, pair := range pairs {
		from, to, _ := strings.Cut(pair, ":")
		named, err1 := strconv.ParseUint(from, 10, 16)
		actual, err2 := strconv.ParseUint(to, 10, 16)
		if err1 != nil || err2 != nil || named == 0 || actual == 0 {
			return nil, fmt.Errorf("%s is not a pair of ports; write the one that Gateways name and the one to listen on, such as 80:8080", options.Quoted(pair))
		}
		if _, twice := out[int(named)]; twice {
			return nil, fmt.Errorf("the port %d is mapped twice; keep one of them", named)
		}
		out[int(named)] = int(actual)
	}
	return out, nil
}
