package object

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fault is something wrong with an object. Its fields are those of
// spec.Finding.
type Fault struct {
	Reason  string
	Message string

	// Used is true if the object is used all the same.
	Used bool
}

// The reasons of findings.
const (
	ReasonUnknownField       = "UnknownField"
	ReasonInvalidField       = "InvalidField"
	ReasonInvalidObject      = "InvalidObject"
	ReasonInvalidKey         = "InvalidKey"
	ReasonInvalidSecret      = "InvalidSecret"
	ReasonSecretNotFound     = "SecretNotFound"
	ReasonSecretForbidden    = "SecretForbidden"
	ReasonHostNotAllowed     = "HostNotAllowed"
	ReasonNoCredentials      = "NoCredentials"
	ReasonConflict           = "Conflict"
	ReasonReplaced           = "Replaced"
	ReasonInvalidMatch       = "InvalidMatch"
	ReasonInvalidBackend     = "InvalidBackend"
	ReasonInvalidWeights     = "InvalidWeights"
	ReasonProviderNotFound   = "ProviderNotFound"
	ReasonProviderRefused    = "ProviderRefused"
	ReasonUnsupportedBackend = "UnsupportedBackend"
	ReasonServiceNotFound    = "ServiceNotFound"
	ReasonPoolNotFound       = "PoolNotFound"
	ReasonPoolRefused        = "PoolRefused"
	ReasonPoolNotPermitted   = "PoolNotPermitted"
	ReasonNoEndpoints        = "NoEndpoints"
	ReasonPodsForbidden      = "PodsForbidden"
	ReasonInvalidPicker      = "InvalidEndpointPicker"
	ReasonGatewayNotFound    = "GatewayNotFound"
	ReasonHostNotServed      = "HostNotServed"
	ReasonUnsupportedServer  = "UnsupportedServer"
	ReasonUnsupportedField   = "UnsupportedField"
	ReasonCatchAllHost       = "CatchAllHost"
	ReasonForeignSettings    = "ForeignSettings"
	ReasonDroppedHeader      = "DroppedHeader"
	ReasonUnknownIdentity    = "UnknownIdentity"
	ReasonUnreadableFile     = "UnreadableFile"
	ReasonOtherNamespace     = "OtherNamespace"
	ReasonUnsupportedTarget  = "UnsupportedTarget"
	ReasonTargetNotFound     = "TargetNotFound"
	ReasonRuleNotFound       = "RuleNotFound"
	ReasonNoPrices           = "NoPrices"
	ReasonInvalidMesh        = "InvalidMeshConfig"
	ReasonMeshForbidden      = "MeshConfigForbidden"

	ReasonExtensionProviderNotFound = "ExtensionProviderNotFound"
	ReasonExtensionProviderRefused  = "ExtensionProviderRefused"
)

// The reasons of findings about what has no effect, as it is written.
const (
	// ReasonNeverReached is that of a rule before which others match all that it
	// matches.
	ReasonNeverReached = "NeverReached"
	// ReasonNeverMatches is that of a match that no request can have, or whose words
	// mean something else than they seem to.
	ReasonNeverMatches = "NeverMatches"
	// ReasonDuplicateName is that of a rule with the name of another one.
	ReasonDuplicateName = "DuplicateName"
	// ReasonUnusedSettings is that of settings for rules that nobody has.
	ReasonUnusedSettings = "UnusedSettings"
)

// Faultf makes a fault that keeps its object from being used.
func Faultf(reason, format string, args ...any) *Fault {
	return &Fault{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Warningf makes a fault of an object that is used all the same.
func Warningf(reason, format string, args ...any) *Fault {
	f := Faultf(reason, format, args...)
	f.Used = true
	return f
}

// Refusal is the reason of the first fault that keeps an object from being
// used, or empty.
func Refusal(faults []Fault) string {
	for _, f := range faults {
		if !f.Used {
			return f.Reason
		}
	}
	return ""
}

// IsWithin reports whether a fault is about the field at a path, or about one inside of it.
func IsWithin(f Fault, path string) bool {
	rest, ok := strings.CutPrefix(f.Message, path)
	return ok && rest != "" && strings.ContainsRune(".[:", rune(rest[0]))
}

// EntryOf is the number of the entry of a list that a fault is about or in, or -1.
func EntryOf(f Fault, list string) int {
	rest, ok := strings.CutPrefix(f.Message, list+"[")
	number, _, _ := strings.Cut(rest, "]")
	if n, err := strconv.Atoi(number); ok && err == nil {
		return n
	}
	return -1
}

// IsReported reports whether one of the faults is about the field at a path, or about
// one inside of it.
func IsReported(faults []Fault, path string) bool {
	return slices.ContainsFunc(faults, func(f Fault) bool { return IsWithin(f, path) })
}
