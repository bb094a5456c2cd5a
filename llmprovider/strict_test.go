package llmprovider

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// checkStrict compares what scanObject takes with encoding/json.
func checkStrict(t *testing.T, body []byte) {
	t.Helper()
	_, err := scanObject(body)
	valid := json.Valid(body) && len(bytes.TrimSpace(body)) > 0 && bytes.TrimSpace(body)[0] == '{'
	switch {
	case err == nil && !valid:
		t.Fatalf("%q was taken", body)
	case err != nil && valid && !strings.HasPrefix(err.Error(), "the request body has"): // a member that is rewritten, twice or in another case
		t.Fatalf("%q was refused: %v", body, err)
	}
}

// randomJSON writes a random value. Its parts are those of JSON, and now and
// then of what lenient parsers take.
func randomJSON(r *rand.Rand, out *bytes.Buffer, depth int, wild float64) {
	pick := func(from ...string) { out.WriteString(from[r.IntN(len(from))]) }
	space := func() {
		if r.IntN(4) == 0 {
			pick(" ", "\n", "\r\n", "\t", "  ")
		}
		if r.Float64() < wild {
			pick("/* */", "// \n", "# \n", "\f", "\v", "\u00a0", "\ufeff", "\x00", ",", ":", ";")
		}
	}
	text := func() {
		quote := `"`
		if r.Float64() < wild {
			quote = []string{"'", "`", "", "“", `"""`}[r.IntN(5)]
		}
		out.WriteString(quote)
		for range r.IntN(40) {
			switch {
			case r.Float64() < wild:
				pick("\n", "\t", "\x00", "\x1f", `\x41`, `\'`, `\0`, `\u12`, `\u00g0`, `\U0041`, "\\\n", "\xff", "\xc0\xa2", "\xed\xa0\x80", "\xe9", `"`, `\`)
			case r.IntN(6) == 0:
				pick(`\n`, `\"`, `\\`, `\/`, `\b\f\r\t`, `\u0041`, `\uD83D\uDE00`, `\ud800`)
			case r.IntN(50) == 0: // as long as text must be that is searched in another way
				out.WriteString(strings.Repeat("é plain", 32+r.IntN(99)))
			default:
				pick("a", "model", "é", "通义", "\U0001F600", " ", "{", "]", ":", ",", "'", "/*", "\x7f", "\u2028")
			}
		}
		out.WriteString(quote)
	}
	space()
	kind := r.IntN(8)
	if depth == 0 {
		kind = 7
	}
	if depth > 6 {
		kind = r.IntN(5)
	}
	switch kind {
	case 0:
		text()
	case 1:
		if r.Float64() < wild {
			pick("01", "+1", "1.", ".5", "1e", "-", "0x1f", "NaN", "Infinity", "-Infinity", "1_000", "1e+", "--1", "1.2.3", "00", "-01", "1E", "١")
		} else {
			pick("0", "-0", "1", "12345678901234567890", "-1.5", "0.0", "1e9", "1E+9", "1.0e-009", "-0e0")
		}
	case 2, 3, 4:
		if r.Float64() < wild {
			pick("True", "nul", "undefined", "None", "nulll", "tru", "FALSE", "b", "")
		} else {
			pick("true", "false", "null")
		}
	case 5, 6:
		out.WriteByte('[')
		n := r.IntN(4)
		for i := range n {
			if i > 0 {
				out.WriteByte(',')
			}
			randomJSON(r, out, depth+1, wild)
		}
		if r.Float64() < wild {
			pick(",", "}", "]", "[")
		}
		out.WriteByte(']')
	case 7:
		out.WriteByte('{')
		n := r.IntN(5)
		for i := range n {
			if i > 0 {
				out.WriteByte(',')
			}
			space()
			text()
			space()
			out.WriteByte(':')
			randomJSON(r, out, depth+1, wild)
		}
		if r.Float64() < wild {
			pick(",", "}", "]", "{")
		}
		space()
		out.WriteByte('}')
	}
	space()
}

func TestScanTakesWhatIsJSONAndNothingElse(t *testing.T) {
	for seed := range uint64(6_000) {
		r := rand.New(rand.NewPCG(seed, 1))
		var body bytes.Buffer
		randomJSON(r, &body, 0, []float64{0, 0.002, 0.02}[seed%3])
		checkStrict(t, body.Bytes())
		if changed := body.Bytes(); len(changed) > 1 {
			changed[r.IntN(len(changed))] = byte(r.IntN(256))
			checkStrict(t, changed)
			checkStrict(t, changed[:r.IntN(len(changed))])
		}
	}
}

// TestEveryByteAtEveryPlace has each byte once at each place of the words that a
// string is read in.
func TestEveryByteAtEveryPlace(t *testing.T) {
	for place := range 80 {
		for c := range 256 {
			body := []byte(`{"a":"` + strings.Repeat("x", 80) + `"}`)
			body[6+place] = byte(c)
			checkStrict(t, body)
		}
	}
}

func FuzzStrict(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":[1,-0.5e+3,true,null,{"b":"\u00e9\n"}]}`, "{\"a\":\"\xff\"}", `{"a":/**/1}`, `{'a':1}`, `{"a":01}`, `{"a":1,}`, "{\"a\":\"\x01\"}", `{"a":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkStrict(t, body) })
}

// TestAMemberIsFoundHoweverItIsWritten has names that decoders read as one of
// those that the gateway rewrites, beside the name itself.
func TestAMemberIsFoundHoweverItIsWritten(t *testing.T) {
	for seed := range uint64(2_000) {
		r := rand.New(rand.NewPCG(seed, 2))
		for _, name := range []string{"model", "stream", "stream_options"} {
			var written strings.Builder
			for _, c := range name {
				switch r.IntN(4) {
				case 0:
					fmt.Fprintf(&written, `\u%04x`, c)
				case 1:
					fmt.Fprintf(&written, `\u%04X`, c)
				default:
					written.WriteRune(c)
				}
				switch r.IntN(40) {
				case 0:
					written.WriteString(`\udc00`)
				case 1:
					written.WriteString("\xff")
				}
			}
			if r.IntN(8) == 0 {
				written.WriteString(`\u0000x`)
			}
			other := written.String()
			if r.IntN(4) == 0 {
				other = strings.ToUpper(name)
			}
			pair := []string{fmt.Sprintf(`"%s":"a"`, name), fmt.Sprintf(`"%s":"b"`, other)}
			r.Shuffle(2, func(i, j int) { pair[i], pair[j] = pair[j], pair[i] })
			body := `{"x":1,` + pair[0] + `,"y":[{}],` + pair[1] + `}`
			if _, err := scanObject([]byte(body)); err == nil {
				t.Fatalf("%s was taken", body)
			}
		}
	}
}
