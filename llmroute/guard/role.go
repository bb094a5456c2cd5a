package guard

import (
	"fmt"
	"slices"
	"strings"
)

// role is whose text something is, one bit each so that several make a set.
type role uint8

const (
	roleSystem role = 1 << iota
	roleUser
	roleAssistant
	roleTool
	roleOther

	// roleAny is that of text of which it is not known: all guards look at it.
	roleAny = roleSystem | roleUser | roleAssistant | roleTool | roleOther
)

// Roles are the names of the roles, for options and errors.
var Roles = []string{"system", "user", "assistant", "tool", "other"}

// rolesOf is the set of the roles of these names, all without any.
func rolesOf(names []string) (role, error) {
	if len(names) == 0 {
		return roleAny, nil
	}
	set := role(0)
	for _, name := range names {
		i := slices.Index(Roles, name)
		if i < 0 {
			return 0, fmt.Errorf("there is no role %q; the roles are: %s", name, strings.Join(Roles, ", "))
		}
		set |= 1 << i
	}
	return set, nil
}

// roleNamed is the role that an API calls so.
func roleNamed(name []byte) role {
	switch string(name) {
	case "system", "developer":
		return roleSystem
	case "user":
		return roleUser
	case "assistant", "model":
		return roleAssistant
	case "tool", "function":
		return roleTool
	}
	return roleAny
}
