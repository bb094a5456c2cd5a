package detect

import "bytes"

// The built-in patterns. They are written out rather than regular expressions, so that
// their checksums are verified and long texts take little time.

var builtins = []*Detector{
	{Category: "email", perhaps: func(t *Text) bool { return bytes.IndexByte(t.Bytes, '@') >= 0 }, Each: eachEmail},
	{Category: "phone", perhaps: func(t *Text) bool { return t.manyDigits(minPhone) }, Each: eachPhone},
	{Category: "card", perhaps: func(t *Text) bool { return t.manyDigits(minCard) }, Each: eachCard},
	{Category: "iban", perhaps: (*Text).mayHaveIBAN, Each: eachIBAN},
	{Category: "ssn", perhaps: func(t *Text) bool { return t.manyDigits(9) }, Each: eachSSN},
}

// Builtin returns the detector of the built-in pattern of that name, which is its category;
// nil if there is none.
func Builtin(name string) *Detector {
	for _, d := range builtins {
		if d.Category == name {
			return d
		}
	}
	return nil
}

// BuiltinNames returns the names of the built-in patterns.
func BuiltinNames() []string {
	names := make([]string, len(builtins))
	for i, d := range builtins {
		names[i] = d.Category
	}
	return names
}

// IsDigit reports whether a byte is an ASCII digit.
func IsDigit(c byte) bool { return c-'0' < 10 }

// IsLetter reports whether a byte is an ASCII letter.
func IsLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// eachEmail finds addresses as they are written in practice: dots, digits, letters and
// some signs, and a domain with a dot.
func eachEmail(b []byte, f func(start, end int) bool) bool {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], '@')
		if i < 0 {
			return true
		}
		at := from + i
		start := at
		for start > from && isLocal(b[start-1]) {
			start--
		}
		for start < at && b[start] == '.' {
			start++
		}
		end, label, dots := at+1, 0, 0
		last := -1 // the end of the domain so far
		for end < len(b) && (IsLetter(b[end]) || IsDigit(b[end]) || b[end] >= 0x80 || (b[end] == '-' || b[end] == '.') && label > 0) {
			if b[end] == '.' {
				label, dots = 0, dots+1
			} else if label++; dots > 0 && label > 1 && b[end] != '-' {
				last = end + 1
			}
			end++
		}
		from = at + 1
		if start < at && last > 0 {
			if !f(start, last) {
				return false
			}
			from = last
		}
	}
}

func isLocal(c byte) bool {
	return IsLetter(c) || IsDigit(c) || c >= 0x80 && c != Separator || bytes.IndexByte([]byte(".!#$%&'*+/=?^_`{|}~-"), c) >= 0
}

// gap is the width of what may stand once between the digits of a number: a space, one
// that does not break, or a hyphen.
func gap(b []byte, i int) int {
	switch {
	case i >= len(b):
		return 0
	case b[i] == ' ' || b[i] == '-':
		return 1
	case b[i] == 0xc2 && i+1 < len(b) && b[i+1] == 0xa0:
		return 2
	}
	return 0
}

// digitGroup returns the end of the digits that begin at i.
func digitGroup(b []byte, i int) int {
	for i < len(b) && IsDigit(b[i]) {
		i++
	}
	return i
}

// eachRun calls f with where each group of digits begins.
func eachRun(b []byte, f func(start int) (next int, goOn bool)) bool {
	for i := 0; i < len(b); {
		if !IsDigit(b[i]) {
			i++
			continue
		}
		next, goOn := f(i)
		if !goOn {
			return false
		}
		i = max(next, digitGroup(b, i))
	}
	return true
}

// The number of digits of a payment card.
const (
	minCard = 13
	maxCard = 19
)

// eachCard finds numbers of payment cards: 13 to 19 digits, alone or in groups, of an
// issuer's range, with the check digit of Luhn's algorithm (ISO/IEC 7812).
func eachCard(b []byte, f func(start, end int) bool) bool {
	return eachRun(b, func(start int) (int, bool) {
		if start > 1 && b[start-1] == '.' && IsDigit(b[start-2]) {
			return 0, true // decimals
		}
		var digits [maxCard]byte
		n, end := 0, 0
		for i := start; ; {
			stop := digitGroup(b, i)
			if stop == i || n+stop-i > maxCard {
				break
			}
			n += copy(digits[n:], b[i:stop])
			if n >= minCard && isCard(digits[:n]) {
				end = stop
			}
			i = stop + gap(b, stop)
			if i == stop {
				break
			}
		}
		if end == 0 {
			return 0, true
		}
		return end, f(start, end)
	})
}

func isCard(digits []byte) bool {
	prefix := 0
	for _, c := range digits[:4] {
		prefix = prefix*10 + int(c-'0')
	}
	if (prefix < 3000 || prefix > 6999) && (prefix < 2200 || prefix > 2720) {
		return false
	}
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// eachSSN finds US Social Security numbers in groups of 3, 2 and 4 digits, of the
// ranges that are given out.
func eachSSN(b []byte, f func(start, end int) bool) bool {
	return eachRun(b, func(start int) (int, bool) {
		group := [3]int{3, 2, 4}
		i := start
		for n, size := range group {
			stop := digitGroup(b, i)
			digits := b[i:stop]
			if len(digits) != size || string(digits) == "0000"[:size] || n == 0 && (digits[0] == '9' || string(digits) == "666") {
				return 0, true
			}
			i = stop
			if n == 2 {
				break
			}
			width := gap(b, i)
			if width == 0 || n == 1 && b[i] != b[start+3] {
				return 0, true
			}
			i += width
		}
		if start > 1 && b[start-1] == '-' && IsDigit(b[start-2]) || i+1 < len(b) && b[i] == '-' && IsDigit(b[i+1]) {
			return 0, true // a part of a longer number
		}
		return i, f(start, i)
	})
}

// The number of digits of a phone number (ITU-T E.164 has at most 15).
const (
	minPhone = 8
	maxPhone = 15
)

// eachPhone finds phone numbers: with + and a country's code, of North America with its
// area code in groups, and others that begin with 0 and are in groups.
func eachPhone(b []byte, f func(start, end int) bool) bool {
	return eachRun(b, func(first int) (int, bool) {
		start := first
		if start > 0 && b[start-1] == '(' {
			start--
		}
		plus := start > 0 && b[start-1] == '+'
		if plus {
			start--
		} else if start > 0 && (IsLetter(b[start-1]) || start == first && (b[start-1] == '.' || b[start-1] == '-' || b[start-1] == '/')) {
			return 0, true // a part of something else
		}
		var sizes [8]int
		var digits [maxPhone]byte
		n, groups, end := 0, 0, 0
		for i := first; groups < len(sizes); {
			stop := digitGroup(b, i)
			if stop == i || n+stop-i > maxPhone {
				break
			}
			n += copy(digits[n:], b[i:stop])
			sizes[groups] = stop - i
			groups++
			if isPhone(digits[:n], sizes[:groups], plus) && (stop == len(b) || !IsLetter(b[stop])) {
				end = stop
			}
			i = phoneGap(b, stop)
			if i == stop {
				break
			}
		}
		if end == 0 {
			return 0, true
		}
		return end, f(start, end)
	})
}

// phoneGap returns the index after what may stand between groups of a phone number.
func phoneGap(b []byte, i int) int {
	if i < len(b) && b[i] == ')' {
		i++
	}
	switch width := gap(b, i); {
	case width > 0:
		i += width
	case i < len(b) && (b[i] == '.' || b[i] == '/'):
		i++
	}
	if i < len(b) && b[i] == '(' {
		i++
	}
	return i
}

func isPhone(digits []byte, sizes []int, plus bool) bool {
	switch {
	case plus:
		return len(digits) >= minPhone && digits[0] != '0'
	case digits[0] == '0':
		return len(sizes) > 1 && sizes[0] > 1 && len(digits) >= 9 && len(digits) <= 12 && digits[1] != '0'
	case len(sizes) == 4 && sizes[0] == 1 && digits[0] == '1':
		digits, sizes = digits[1:], sizes[1:]
	}
	return len(sizes) == 3 && sizes[0] == 3 && sizes[1] == 3 && sizes[2] == 4 && digits[0] >= '2' && digits[3] >= '2'
}

// ibanLengths are the lengths of the account numbers by country, from the IBAN registry
// of ISO 13616.
var ibanLengths = func() map[string]int {
	const registry = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 " +
		"GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 " +
		"MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 " +
		"VA22 VG24 XK20 YE30"
	lengths := make(map[string]int)
	for _, field := range bytes.Fields([]byte(registry)) {
		lengths[string(field[:2])] = int(field[2]-'0')*10 + int(field[3]-'0')
	}
	return lengths
}()

// eachIBAN finds international bank account numbers, alone or in groups, whose length
// and check digits (ISO 7064, modulo 97) are right.
func eachIBAN(b []byte, f func(start, end int) bool) bool {
	return eachRun(b, func(digits int) (int, bool) {
		start := digits - 2
		if start < 0 || !IsLetter(b[start]) || !IsLetter(b[start+1]) || digitGroup(b, digits) < digits+2 {
			return 0, true
		}
		if start > 0 && (IsLetter(b[start-1]) || IsDigit(b[start-1])) {
			return 0, true
		}
		length, known := ibanLengths[string([]byte{b[start] &^ 0x20, b[start+1] &^ 0x20})]
		if !known {
			return 0, true
		}
		var account [40]byte
		i := start
		for n := 0; n < length; n++ {
			if n > 0 {
				i += gap(b, i)
			}
			if i >= len(b) || !IsLetter(b[i]) && !IsDigit(b[i]) {
				return 0, true
			}
			account[n] = b[i]
			i++
		}
		if i < len(b) && (IsLetter(b[i]) || IsDigit(b[i])) || !isIBAN(account[:length]) {
			return 0, true
		}
		return i, f(start, i)
	})
}

func isIBAN(account []byte) bool {
	rest := 0
	for i := range account {
		c := account[(i+4)%len(account)]
		if IsDigit(c) {
			rest = (rest*10 + int(c-'0')) % 97
		} else {
			rest = (rest*100 + int(c&^0x20-'A') + 10) % 97
		}
	}
	return rest == 1
}
