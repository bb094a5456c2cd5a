package modellist

import (
	"io"
	"net/http"
	"strconv"

	"github.com/caddy-llm/gateway/llmprovider"
)

// Owned is a model with the name of the provider that has it.
type Owned struct {
	Model
	Owner string
}

// Offer is what a rule has for clients.
type Offer struct {
	// Named are the models that requests must ask for one of to get there, as far as they
	// are named.
	Named []string
	// Takes reports whether requests for a model get there.
	Takes func(model string) bool
	// Of are the lists of the rule's backends that can be used.
	Of []Provided
}

// Provided is what a provider has.
type Provided struct {
	Owner  string
	Models []Model
}

// Merge returns the models that a client may ask for, each once, and Max of them at most.
func Merge(offers []Offer, allowed func(id string) bool) (list []Owned) {
	seen := make(map[string]bool)
	add := func(m Model, owner string) {
		if m.ID == "" || seen[m.ID] || len(list) >= Max || !allowed(m.ID) {
			return
		}
		seen[m.ID] = true
		list = append(list, Owned{m, owner})
	}
	for i := range offers {
		o := &offers[i]
		for _, name := range o.Named {
			add(o.describe(name))
		}
		for _, p := range o.Of {
			for _, m := range p.Models {
				if o.Takes(m.ID) {
					add(m, p.Owner)
				}
			}
		}
	}
	return list
}

// describe returns the model as the first provider lists it that does, else its name alone
// with the first provider as its owner.
func (o *Offer) describe(name string) (m Model, owner string) {
	for i, p := range o.Of {
		if i == 0 {
			owner = p.Owner
		}
		for _, m := range p.Models {
			if m.ID == name {
				return m, p.Owner
			}
		}
	}
	return Model{ID: name}, owner
}

// Write responds with the list in the shape of an API, or with the one model in it alone.
func Write(w http.ResponseWriter, r *http.Request, list []Owned, api llmprovider.API, one bool) error {
	objects, first, last := make([]string, len(list)), "", ""
	for i := range list {
		objects[i] = list[i].In(api, list[i].Owner)
	}
	parts := objects
	if !one {
		if len(list) > 0 {
			first, last = list[0].ID, list[len(list)-1].ID
		}
		parts = Parts(api, objects, first, last)
	}
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(size))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	for _, part := range parts {
		if _, err := io.WriteString(w, part); err != nil {
			return err
		}
	}
	return nil
}

// NotFound is the error for a model that the list has not.
func NotFound(id string) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusNotFound, Type: llmprovider.TypeInvalidRequest, Code: "model_not_found", Param: "model",
		Message: "there is no model " + strconv.Quote(llmprovider.Bounded(id)) + " here; GET /v1/models lists those there are",
	}
}
