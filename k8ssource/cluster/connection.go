package cluster

import (
	"errors"
	"sync"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// lostAfter is how many requests in a row must fail before the API server counts as
// out of reach: it is not when one of several fails.
const lostAfter = 3

// connection logs once that the API server cannot be reached, and once that it can
// again.
type connection struct {
	mu     sync.Mutex
	failed int // requests in a row
}

// answered reports whether a request came as far as the API server.
func answered(err error) bool {
	var status apierrors.APIStatus
	return err == nil || errors.As(err, &status)
}

// observe takes note of a request.
func (c *connection) observe(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !answered(err) {
		if c.failed++; c.failed == lostAfter {
			logger().Error("API server unreachable; keeping the last state read", zap.Error(err))
		}
		return
	}
	if c.failed >= lostAfter {
		logger().Info("API server reachable again")
	}
	c.failed = 0
}
