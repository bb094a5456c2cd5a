package dialect

import (
	"iter"
	"slices"
)

// toolNames returns where the request has names of tools: those that it declares, chooses,
// calls and has results of.
func (r *Request) toolNames() iter.Seq[*string] {
	return func(yield func(*string) bool) {
		for i := range r.Tools {
			if !yield(&r.Tools[i].Name) {
				return
			}
		}
		for i := range r.Choice.Names {
			if !yield(&r.Choice.Names[i]) {
				return
			}
		}
		for i := range r.Turns {
			for _, p := range r.Turns[i].Parts {
				if p.Call != nil && !yield(&p.Call.Name) || p.Result != nil && !yield(&p.Result.Name) {
					return
				}
			}
		}
	}
}

// shortNames returns what an API gets instead of the names that are longer than it takes, in
// bytes; nil if there are none. A name becomes the same in every request, unless another
// tool has that name already.
func (r *Request) shortNames(most int) map[string]string {
	if most == 0 {
		return nil
	}
	var short map[string]string
	for name := range r.toolNames() {
		if len(*name) > most {
			short = make(map[string]string)
			break
		}
	}
	if short == nil {
		return nil
	}
	taken := make(map[string]bool)
	for name := range r.toolNames() {
		taken[*name] = true
	}
	for name := range r.toolNames() {
		if len(*name) <= most || short[*name] != "" {
			continue
		}
		for of := *name; ; of += "_" {
			quoted := CallIDs{Any: true, Max: most}.Append(nil, of)
			if s := string(quoted[1 : len(quoted)-1]); !taken[s] { // nothing in it is escaped
				short[*name], taken[s] = s, true
				break
			}
		}
	}
	return short
}

// withNames returns a copy of the request in which tools have the names that short has for
// theirs.
func (r *Request) withNames(short map[string]string) *Request {
	copied := *r
	copied.Tools, copied.Choice.Names, copied.Turns = slices.Clone(r.Tools), slices.Clone(r.Choice.Names), slices.Clone(r.Turns)
	for i := range copied.Turns {
		parts := slices.Clone(r.Turns[i].Parts)
		copied.Turns[i].Parts = parts
		for j := range parts {
			if call := parts[j].Call; call != nil {
				call := *call
				parts[j].Call = &call
			}
			if result := parts[j].Result; result != nil {
				result := *result
				parts[j].Result = &result
			}
		}
	}
	for name := range copied.toolNames() {
		if s := short[*name]; s != "" {
			*name = s
		}
	}
	return &copied
}
