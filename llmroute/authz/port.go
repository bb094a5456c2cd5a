package authz

import (
	"errors"
	"slices"
	"strconv"
)

// portTest tests the port that clients know the listener by.
type portTest struct{ ports []uint16 }

func (t *portTest) add(value string) error {
	port, err := strconv.ParseUint(value, 10, 16)
	if err != nil {
		return errors.New("this is no port; write a number from 0 to 65535")
	}
	t.ports = append(t.ports, uint16(port))
	return nil
}

func (t *portTest) match(r *request) bool {
	return r.port >= 0 && r.port <= 65535 && slices.Contains(t.ports, uint16(r.port))
}

func (t *portTest) keys() []key { return nil }
