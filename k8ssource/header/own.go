package header

import (
	"github.com/caddy-llm/gateway/llmprovider/headername"
)

// WrittenByGateway reports whether no object may set a header: one of the
// connection, or one that follows from the request itself.
func WrittenByGateway(canonical string) bool {
	switch canonical {
	case "Content-Type", "Content-Encoding", "Proxy-Authorization":
		return true
	}
	return headername.IsOwn(canonical)
}
