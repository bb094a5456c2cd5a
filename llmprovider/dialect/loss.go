package dialect

import (
	"math/bits"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/llmprovider"
)

// Concept is what a request can ask for, whatever its API calls it. Each API has
// its own names for them, which are what a client is told.
type Concept uint8

// The concepts.
const (
	Other Concept = iota // what the client's API does not know either
	CMaxOutput
	CTemperature
	CTopP
	CTopK
	CPresencePenalty
	CFrequencyPenalty
	CLogitBias
	CSeed
	CCandidates
	CLogProbs
	CStop
	CVerbosity
	CUser
	CMetadata
	CServiceTier
	CStore
	CCacheKey
	CCache
	CEffort
	CBudget
	CThinking
	CSummary
	CFormat
	CFormatName
	CStrict
	CSystem
	CTurnName
	CText
	CRefusal
	CReasoning
	CSignature
	CArguments
	CToolResult
	CToolError
	CImage
	CImageURL
	CImageDetail
	CAudio
	CVideo
	CDocument
	CDocumentName
	CFileID
	CCitations
	CTool
	CToolName
	CToolSchema
	CCustomTool
	CGrammar
	CHostedTool
	CToolOption
	CChoice
	CChoiceSubset
	CParallel
	CPrefill
	CModalities
	CPrediction
	CStored
	CContainer
	CContextManagement
	CTruncation
	CModeration
	CSafety
	CLabels
	CFinish
	CDimensions
	CTask
	concepts
)

// Class is what became of something that a request asks for.
type Class uint8

// The classes of loss (exact is none).
const (
	// Approximated says that the meaning is kept and its strength or shape is not.
	Approximated Class = iota + 1
	// Dropped says that it has no effect: tuning that the provider does not know.
	Dropped
)

// Loss is the part of a request that the provider does not get, or gets in another form.
// The zero value is no loss. Its names come from tables, never from the client.
type Loss struct {
	approximated, dropped set
}

// set is a set of concepts.
type set [2]uint64

func (s *set) add(c Concept)      { s[c>>6] |= 1 << (c & 63) }
func (s *set) has(c Concept) bool { return s[c>>6]&(1<<(c&63)) != 0 }
func (s *set) len() int           { return bits.OnesCount64(s[0]) + bits.OnesCount64(s[1]) }

// Approximate notes that c is not sent as the client said it.
func (l *Loss) Approximate(c Concept) { l.approximated.add(c) }

// Drop notes that c is not sent.
func (l *Loss) Drop(c Concept) { l.dropped.add(c) }

// Any reports whether there is any loss.
func (l *Loss) Any() bool { return l.approximated != set{} || l.dropped != set{} }

// Less reports whether less is lost than in another loss: less is dropped, or as much and
// less approximated.
func (l *Loss) Less(than *Loss) bool {
	if n, m := l.dropped.len(), than.dropped.len(); n != m {
		return n < m
	}
	return l.approximated.len() < than.approximated.len()
}

// Fields returns the names of the client's API for what is lost of a class, sorted.
func (l *Loss) Fields(api *API, class Class) []string {
	s := &l.dropped
	if class == Approximated {
		s = &l.approximated
	}
	var names []string
	for c := range concepts {
		if s.has(c) {
			names = append(names, api.field(c))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// field is the API's name for c.
func (a *API) field(c Concept) string {
	if name := a.Paths[c]; name != "" {
		return name
	}
	return "other"
}

// Refuse returns the error for a request that asks for what the provider cannot do
// and the client would miss. why completes the sentence "the provider's API has no
// …" or is a sentence of its own.
func (r *Request) Refuse(c Concept, why string) *llmprovider.Error {
	return r.RefuseField(r.API.field(c), why)
}

// RefuseField is Refuse for a field that a reader names, one that its API alone has.
func (r *Request) RefuseField(field, why string) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusBadRequest, Type: llmprovider.TypeInvalidRequest, Code: "untranslatable_field", Param: field,
		Message: field + " cannot be translated for the provider of this model: " + why,
	}
}

// Strict returns the error for a request that must be translated without loss, or
// nil if there is none.
func (l *Loss) Strict(api *API) *llmprovider.Error {
	if !l.Any() {
		return nil
	}
	var parts []string
	if names := l.Fields(api, Dropped); len(names) > 0 {
		parts = append(parts, "not sent: "+strings.Join(names, ", "))
	}
	if names := l.Fields(api, Approximated); len(names) > 0 {
		parts = append(parts, "approximated: "+strings.Join(names, ", "))
	}
	return &llmprovider.Error{
		Status: http.StatusBadRequest, Type: llmprovider.TypeInvalidRequest, Code: "translation_not_exact",
		Message: "the request asks for an exact translation, and the provider's API cannot express all of it (" + strings.Join(parts, "; ") +
			"); leave these fields out, or allow the loss",
	}
}
