package cluster

import (
	"slices"
	"strings"

	"go.uber.org/zap"
)

// withheld keeps what was logged about objects that may not be read.
type withheld struct{ without, waiting, optional string }

// withheldFollowers are those of Gateways, and of the policies that hold at them,
// that may not be read where only some namespaces are followed: a Role for a sidecar
// need not have them. Policies are not done without while there may be Gateways that
// they hold at. It logs what is missing, once. c.mu must be held.
func (c *controller) withheldFollowers() map[*follower]bool {
	out := make(map[*follower]bool)
	var without, waiting, optional, names []string
	pending, served := false, false
	for _, k := range c.scope.kinds { // Gateways come before policies
		for _, p := range c.scope.parts(k) {
			f := c.followers[p]
			switch {
			case f == nil || !f.optional:
			case k.optional:
				if f.isRefused() {
					out[f] = true
					optional = append(optional, f.rule())
					if !slices.Contains(names, k.name) {
						names = append(names, k.name)
					}
				}
			case f.isRefused() && (k.name == kindGateway || !served && !pending):
				out[f] = true
				without = append(without, f.rule())
			case f.isRefused() && served:
				waiting = append(waiting, f.rule())
			case k.name == kindGateway:
				served = served || f.isSynced()
				pending = pending || !f.isSynced()
			}
		}
	}
	if text := strings.Join(without, ", "); text != c.withheld.without {
		if c.withheld.without = text; text != "" {
			logger().Warn("Gateways disabled: no permission to read them; grant it, or set gateways off", zap.String("fix", text))
		}
	}
	if text := strings.Join(optional, ", "); text != c.withheld.optional {
		if c.withheld.optional = text; text != "" {
			logger().Warn("objects of these kinds are ignored: no permission to read them", zap.Strings("kinds", names), zap.String("fix", text))
		}
	}
	if text := strings.Join(waiting, ", "); text != c.withheld.waiting {
		if c.withheld.waiting = text; text != "" {
			logger().Error("no permission to read policies for the Gateways; waiting for it", zap.String("fix", text))
		}
	}
	return out
}
