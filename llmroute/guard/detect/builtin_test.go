package detect

import (
	"strings"
	"testing"
)

// each calls f with what a detector finds in a text that is looked at for the first time.
func each(d *Detector, text string, f func(start, end int) bool) {
	if t := (&Text{Bytes: []byte(text)}); d.Perhaps(t) {
		d.Each(t.Bytes, f)
	}
}

// found are the matches of a built-in pattern.
func found(name, text string) []string {
	var all []string
	each(Builtin(name), text, func(start, end int) bool {
		all = append(all, text[start:end])
		return true
	})
	return all
}

func TestBuiltins(t *testing.T) {
	for _, test := range []struct {
		name string
		yes  []string // found whole, in any surroundings
		no   []string
	}{
		{
			"email",
			[]string{"a@b.co", "first.last+tag@sub.example.com", "o'neil@example.ie", "x_1@xn--exmple-cua.com", "UPPER@EXAMPLE.COM", "j\u00fcrgen@b\u00fccher.example"},
			[]string{"a@b", "@example.com", "a@", "a @b.co", "user@localhost", "a@.com", "@", "@@@", "a@b.1"},
		},
		{
			"phone",
			[]string{"+14155552671", "+1 415 555 2671", "+49 30 901820", "+44 (0)20 7946 0958", "(415) 555-2671", "415-555-2671", "415.555.2671", "415 555 2671", "1-415-555-2671", "020 7946 0958", "06 12 34 56 78", "030/123456-78", "+358-9-1234567"},
			[]string{"4155552671", "115-555-2671", "415-155-2671", "1700000000", "2024-01-15 10:30", "192.168.100.200", "+1234", "3.14159265358979", "0.123456789", "v415-555-2671", "12-34-56", "00 11 22 33 44"},
		},
		{
			"card",
			[]string{"4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "378282246310005", "3782 822463 10005", "5555555555554444", "2223003122003222", "6011111111111117", "30569309025904", "4222222222222", "6212345678901232", "4111\u00a01111\u00a01111\u00a01111"},
			[]string{"4111111111111112", "1234567890123456", "0000000000000000", "41111111111111111111111", "4111  1111  1111  1111", "1.4111111111111111", "4111", "9999999999999995"},
		},
		{
			"iban",
			[]string{"DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "de89 3704 0044 0532 0130 00", "GB29NWBK60161331926819", "FR1420041010050500013M02606", "NO9386011117947", "MT84MALT011000012345MTLCAST001S", "NL91-ABNA-0417-1643-00"},
			[]string{"DE89370400440532013001", "DE8937040044053201300", "XX89370400440532013000", "DE89370400440532013000X", "ADE89370400440532013000", "GB29 NWBK"},
		},
		{
			"ssn",
			[]string{"123-45-6789", "123 45 6789", "001-01-0001", "899-99-9999"},
			[]string{"000-45-6789", "666-45-6789", "900-45-6789", "123-00-6789", "123-45-0000", "123456789", "123-45-67890", "1123-45-6789", "123-45 6789", "123-45-6789-1", "1-123-45-6789"},
		},
	} {
		for _, text := range test.yes {
			for _, around := range []string{"X", " X ", "mail: X, and", "(X)", "X.", "\nX\n", "\"X\"", "<X>", "X;X"} {
				in := strings.ReplaceAll(around, "X", text)
				got := found(test.name, in)
				if len(got) != strings.Count(around, "X") || strings.TrimPrefix(got[0], "(") != strings.TrimPrefix(text, "(") {
					t.Errorf("%s: found %q in %q", test.name, got, in)
				}
			}
		}
		for _, text := range test.no {
			if got := found(test.name, "some "+text+" words"); got != nil {
				t.Errorf("%s: found %q in %q", test.name, got, text)
			}
		}
	}
	if got := found("card", "ref 1 4111 1111 1111 1111 10"); len(got) != 1 || got[0] != "4111 1111 1111 1111" {
		t.Errorf("between other numbers: %q", got)
	}
	if got := found("email", strings.Repeat("a", 1000)+"@b.co,c@d.ef"); len(got) != 2 {
		t.Errorf("two addresses: %q", got)
	}
}

// TestLinear holds that built-in patterns take time that is linear in the text.
func TestLinear(t *testing.T) {
	for _, unit := range []string{"a", "@", "a@", "a@b", "1", "1 ", "DE8", "DE89 ", "+1", "(1", "0-", "4111 1111 "} {
		text := []byte(strings.Repeat(unit, 300_000/len(unit)))
		for _, d := range builtins {
			d.Each(text, func(int, int) bool { return true })
		}
	}
}
