package condition

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

func TestConditions(t *testing.T) {
	finding := func(reason string, used bool) spec.Finding {
		return spec.Finding{Reason: reason, Message: "about " + reason, Used: used}
	}
	tests := map[string]struct {
		findings []spec.Finding
		applies  bool
		want     string
	}{
		"in use": {nil, true,
			"Accepted=True(Accepted), ResolvedRefs=True(ResolvedRefs), Programmed=True(Programmed), Conflict=False(NoConflict)"},
		"for other workloads": {nil, false,
			"Accepted=True(Accepted), ResolvedRefs=True(ResolvedRefs), Programmed=False(NotSelected: the object is for other workloads), Conflict=False(NoConflict)"},
		"refused": {[]spec.Finding{finding(object.ReasonDroppedHeader, true), finding(object.ReasonInvalidField, false), finding(object.ReasonInvalidKey, false)}, true,
			"Accepted=False(InvalidField: about DroppedHeader|about InvalidField|about InvalidKey), ResolvedRefs=True(ResolvedRefs), " +
				"Programmed=False(NotAccepted: the object is not used; the condition Accepted says why), Conflict=False(NoConflict)"},
		"used with a warning": {[]spec.Finding{finding(object.ReasonCatchAllHost, true)}, true,
			"Accepted=True(Accepted: about CatchAllHost), ResolvedRefs=True(ResolvedRefs), Programmed=True(Programmed), Conflict=False(NoConflict)"},
		"Secret missing": {[]spec.Finding{finding(object.ReasonSecretNotFound, false)}, true,
			"Accepted=False(SecretNotFound: about SecretNotFound), ResolvedRefs=False(SecretNotFound: about SecretNotFound), " +
				"Programmed=False(NotAccepted: the object is not used; the condition Accepted says why), Conflict=False(NoConflict)"},
		"backends that cannot be used": {[]spec.Finding{finding(object.ReasonProviderNotFound, true), finding(object.ReasonUnsupportedBackend, true), finding(object.ReasonUnknownIdentity, true)}, true,
			"Accepted=True(Accepted: about UnknownIdentity), ResolvedRefs=False(ProviderNotFound: about ProviderNotFound|about UnsupportedBackend), Programmed=True(Programmed), Conflict=False(NoConflict)"},
		"host of another": {[]spec.Finding{finding(object.ReasonConflict, false)}, true,
			"Accepted=False(Conflict: about Conflict), ResolvedRefs=True(ResolvedRefs), " +
				"Programmed=False(NotAccepted: the object is not used; the condition Accepted says why), Conflict=True(Conflict: about Conflict)"},
		"host of another in one of its tables": {[]spec.Finding{finding(object.ReasonConflict, true)}, true,
			"Accepted=True(Accepted), ResolvedRefs=True(ResolvedRefs), Programmed=True(Programmed), Conflict=True(Conflict: about Conflict)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, c := range Of(test.findings, test.applies, Problem{}, 7) {
				text := fmt.Sprintf("%s=%s(%s", c.Type, c.Status, c.Reason)
				if c.Message != "" {
					text += ": " + strings.ReplaceAll(c.Message, "\n", "|")
				}
				got = append(got, text+")")
				if c.ObservedGeneration != 7 || !c.LastTransitionTime.IsZero() {
					t.Errorf("%s is of generation %d at %v", c.Type, c.ObservedGeneration, c.LastTransitionTime)
				}
			}
			if text := strings.Join(got, ", "); text != test.want {
				t.Errorf("got  %s\nwant %s", text, test.want)
			}
		})
	}
}

func TestConditionsBoundTheirMessages(t *testing.T) {
	long := make([]spec.Finding, 100)
	for i := range long {
		long[i] = spec.Finding{Reason: object.ReasonInvalidField, Message: strings.Repeat("ä", 300)}
	}
	if got := len(Of(long, true, Problem{}, 1)[0].Message); got > maxMessage || got < maxMessage-4 {
		t.Errorf("%d bytes", got)
	}
}
