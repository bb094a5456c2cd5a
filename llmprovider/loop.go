package llmprovider

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-llm/gateway/llmprovider/headername"
)

const (
	// loopName begins the name of each gateway, which goes on with random letters.
	// They tell nothing about where it runs to the providers that see them.
	loopName = "llm-gateway-"
	// maxGateways bounds how many gateways a request may come through, this one not
	// counted: a sidecar, a gateway of a cluster, a central one, and as many again.
	// Each replica of a gateway has a name of its own, so that a loop may come to
	// several of them before it comes to one for the second time.
	maxGateways = 6
)

// loopMark is the name of this process, the same for all its configurations.
var loopMark = []string{loopName + strings.ToLower(rand.Text()[:12])}

// MarkLoop returns the values of LoopHeader for a request that is sent on behalf
// of one with the header client: what that had, and the gateway's own name.
func MarkLoop(client http.Header) []string {
	lines := client[headername.Loop]
	if len(lines) == 0 {
		return loopMark
	}
	return []string{strings.Join(lines, ", ") + ", " + loopMark[0]}
}

// CheckLoop returns an error if a request with the header client has come through
// this process before, or through so many gateways that it can only be in a loop.
func CheckLoop(client http.Header) *Error {
	gateways := 0
	for _, line := range client[headername.Loop] {
		if strings.Contains(line, loopMark[0]) {
			return errLoop("this request has come back to the gateway that sent it")
		}
		gateways += strings.Count(line, loopName)
	}
	if gateways >= maxGateways {
		return errLoop(fmt.Sprintf("this request has already passed through %d gateways", gateways))
	}
	return nil
}

func errLoop(what string) *Error {
	return &Error{
		Status: http.StatusLoopDetected, Type: TypeServer, Code: "loop_detected",
		Message: what + ": a provider's host points back at a gateway on the request's way; ask the gateway's operator to correct the provider's host, port or path",
	}
}
