package object

import (
	"strconv"
	"strings"
)

// Place is where the object was read, with its line; empty for one from a cluster.
func (i *Item[T]) Place() string {
	if i.File == "" {
		return ""
	}
	return i.File + ":" + strconv.Itoa(i.Line)
}

// SplitOrigin takes apart what Place makes.
func SplitOrigin(origin string) (file string, line int) {
	if i := strings.LastIndexByte(origin, ':'); i >= 0 {
		if n, err := strconv.Atoi(origin[i+1:]); err == nil {
			return origin[:i], n
		}
	}
	return origin, 0
}

// Origin is how findings name an object.
type Origin struct {
	Object string // kind namespace/name
	Place  string // file:line
	File   string
	Line   int
}

// OriginOf is how findings name an object of a kind.
func OriginOf[T any, P Pointer[T]](kind string, item *Item[T]) Origin {
	return Origin{kind + " " + ShownKey(P(&item.Object)), item.Place(), item.File, item.Line}
}

// Stable is the origin without its line, so that an object which only moved in
// its file is seen not to have changed.
func (o Origin) Stable() string {
	if o.File == "" {
		return o.Object
	}
	return o.Object + " in " + o.File
}

// StrayKind is the kind of a document that is no object, as findings name it.
func StrayKind(s *Item[Stray]) string {
	if kind := ShownName(s.Object.Kind); kind != "" && kind != Hidden {
		return kind
	}
	return "object"
}

// Finding is a fault with its object.
type Finding struct {
	Origin
	Fault
}

// Findings collects what is wrong with objects.
type Findings []Finding

// Report adds what is wrong with an object.
func (f *Findings) Report(o Origin, faults []Fault) {
	for _, fault := range faults {
		*f = append(*f, Finding{Origin: o, Fault: fault})
	}
}
