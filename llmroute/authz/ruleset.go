package authz

// ruleSet finds the first of many rules that matches a request. Where there are
// many, each is filed under the values of one of its lists, if nothing but these
// values can match it; the others are tried one after another.
type ruleSet struct {
	rules   []*rule
	indexes []*ruleIndex
	rest    []int32 // not filed
}

// fewRules are tried faster than looked up.
const fewRules = 8

func newRuleSet(rules []*rule) ruleSet {
	s := ruleSet{rules: rules}
	candidates := make([][][]key, len(rules))
	count := make(map[key]int)
	for i, r := range rules {
		if len(rules) > fewRules {
			candidates[i] = r.keys()
		}
		for _, keys := range candidates[i] {
			for _, k := range keys {
				count[k]++
			}
		}
	}
	indexes := make(map[*attribute]*ruleIndex)
	for i := range rules {
		var best []key
		cost := len(rules)
		for _, keys := range candidates[i] {
			sum := 0
			for _, k := range keys {
				sum += count[k]
			}
			if sum < cost {
				best, cost = keys, sum
			}
		}
		if best == nil {
			s.rest = append(s.rest, int32(i))
			continue
		}
		f := indexes[best[0].attribute]
		if f == nil {
			f = newRuleIndex(best[0].attribute)
			indexes[f.attribute] = f
			s.indexes = append(s.indexes, f)
		}
		for _, k := range best {
			f.add(k, int32(i))
		}
	}
	return s
}

// keys are the lists of keys that the rule may be filed under, each of one
// attribute.
func (r *rule) keys() [][]key {
	var lists [][]key
	for _, alternatives := range [][][]check{r.to, r.from} {
		if len(alternatives) == 0 {
			continue
		}
		for _, first := range alternatives[0] {
			// The attribute must be in all alternatives.
			var union []key
			for _, checks := range alternatives {
				keys := keysOf(checks, first)
				if keys == nil {
					union = nil
					break
				}
				union = append(union, keys...)
			}
			if union != nil {
				lists = append(lists, union)
			}
		}
	}
	for _, c := range r.when {
		if keys := keysOf(r.when, c); keys != nil {
			lists = append(lists, keys)
		}
	}
	return lists
}

// keysOf are the keys of the check that has the same attribute as another, nil
// if there is none.
func keysOf(checks []check, like check) []key {
	if like.not {
		return nil
	}
	likes := like.keys()
	if len(likes) == 0 {
		return nil
	}
	for _, c := range checks {
		if c.not {
			continue
		}
		if keys := c.keys(); len(keys) > 0 && keys[0].attribute == likes[0].attribute {
			return keys
		}
	}
	return nil
}

// find is the first rule that matches.
func (s *ruleSet) find(r *request) *rule {
	best := s.first(s.rest, r, int32(len(s.rules)))
	for _, f := range s.indexes {
		best = f.find(s, r, best)
	}
	if int(best) == len(s.rules) {
		return nil
	}
	return s.rules[best]
}

// first is the first of the numbered rules before best that matches, else best.
func (s *ruleSet) first(numbers []int32, r *request, best int32) int32 {
	for _, number := range numbers {
		if number >= best {
			break
		}
		if s.rules[number].match(r) {
			return number
		}
	}
	return best
}
