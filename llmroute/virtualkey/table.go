package virtualkey

import (
	"iter"
	"maps"
)

// Table holds clients and the hashes of their keys. It is immutable.
type Table struct{ clients clientTable }

// Parse reads clients, a line each, as a file of keys has them. place is what errors
// name beside the line; they repeat nothing of the text.
func Parse(place, text string) (*Table, error) {
	table, err := parseKeys(place, []byte(text))
	if err != nil {
		return nil, err
	}
	return &Table{table}, nil
}

// Len is the number of keys.
func (t *Table) Len() int { return len(t.clients) }

// Clients are those of all keys.
func (t *Table) Clients() iter.Seq[*Client] { return maps.Values(t.clients) }
