package cluster

import "strings"

// withheld keeps what was logged about objects that may not be read.
type withheld struct{ without, waiting, pools string }

// withheldFollowers are those of Gateways, and of the policies that hold at them,
// that may not be read where only some namespaces are followed: a Role for a sidecar
// need not have them. Policies are not done without while there may be Gateways that
// they hold at. It logs what is missing, once. c.mu must be held.
func (c *controller) withheldFollowers() map[*follower]bool {
	out := make(map[*follower]bool)
	var without, waiting, pools []string
	pending, served := false, false
	for _, k := range c.scope.kinds { // Gateways come before policies
		for _, p := range c.scope.parts(k) {
			f := c.followers[p]
			switch {
			case f == nil || !f.optional:
			case k.optional:
				if f.isRefused() {
					out[f] = true
					pools = append(pools, f.rule())
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
			logger().Warn("goes on without Gateways and the policies for them, which it may not read; write the option gateways off if none is to be served; if they are, " + text)
		}
	}
	if text := strings.Join(pools, ", "); text != c.withheld.pools {
		if c.withheld.pools = text; text != "" {
			logger().Warn("InferencePools are not used: no permission to read them; to use them, " + text)
		}
	}
	if text := strings.Join(waiting, ", "); text != c.withheld.waiting {
		if c.withheld.waiting = text; text != "" {
			logger().Error("may not read the policies for the Gateways, and waits until it may; " + text)
		}
	}
	return out
}
