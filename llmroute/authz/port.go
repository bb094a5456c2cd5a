package authz

import (
	"errors"
	"slices"
	"strconv"
)

// portTest tests the port that clients know the listener by. There are several if
// servers with different ports share an address and have the same host; the first is
// that of the server which takes the request, and the only one for ALLOW.
type portTest struct{ ports []uint16 }

func (t *portTest) add(value string) error {
	port, err := strconv.ParseUint(value, 10, 16)
	if err != nil {
		return errors.New("this is not a port; write a number from 0 to 65535")
	}
	t.ports = append(t.ports, uint16(port))
	return nil
}

func (t *portTest) match(r *request) bool {
	ports := r.ports
	if r.every && len(ports) > 1 {
		ports = ports[:1]
	}
	return slices.ContainsFunc(ports, func(port int) bool {
		return port >= 0 && port <= 65535 && slices.Contains(t.ports, uint16(port))
	})
}

func (t *portTest) keys() []key { return nil }
