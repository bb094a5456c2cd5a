package limit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Unit is what a limit counts.
type Unit string

// The units. UnitConcurrent is that of Definition.Concurrent.
const (
	UnitRequests   Unit = "requests"
	UnitTokens     Unit = "tokens"
	UnitInput      Unit = "input_tokens"
	UnitOutput     Unit = "output_tokens"
	UnitCost       Unit = "cost"
	UnitConcurrent Unit = "concurrent"
)

// Units are those that an Amount may have.
var Units = []Unit{UnitRequests, UnitTokens, UnitInput, UnitOutput, UnitCost}

const (
	// Nano is how many parts a unit of the currency is counted in: costs are whole
	// billionths, never fractions of a float.
	Nano = 1_000_000_000

	// maxUnits bounds every amount, so that sums of a few never overflow. For costs
	// that is a billion of the currency.
	maxUnits = 1_000_000_000 * Nano

	decimals = 9 // of Nano
)

// errAmount is the error of readAmount; what is expected depends on the unit.
var errAmount = errors.New("not an amount")

// readAmount reads an amount as it stands in a configuration, above 0, and
// returns it in the smallest parts of the unit: whole ones, or billionths of the
// currency for costs.
func (u Unit) readAmount(text string) (int64, error) {
	n, err := u.parseAmount(text)
	switch {
	case err == nil:
		return n, nil
	case u == UnitCost:
		return 0, fmt.Errorf("the amount is %q; expected a number above 0, at most a billion, with at most %d decimal places, such as 0.50", text, decimals)
	}
	return 0, fmt.Errorf("the amount is %q; expected a whole number from 1 to %d", text, int64(maxUnits))
}

// CheckAmount reports whether a text is an amount of the unit: above 0, and at most what
// can be counted.
func (u Unit) CheckAmount(text string) bool {
	_, err := u.parseAmount(text)
	return err == nil
}

func (u Unit) parseAmount(text string) (int64, error) {
	whole, fraction, dotted := strings.Cut(text, ".")
	if dotted && (u != UnitCost || fraction == "") || len(fraction) > decimals || !isDigits(whole) || dotted && !isDigits(fraction) {
		return 0, errAmount
	}
	digits := whole
	if u == UnitCost {
		digits += fraction + strings.Repeat("0", decimals-len(fraction))
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || n > maxUnits {
		return 0, errAmount
	}
	return n, nil
}

func isDigits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// Format writes an amount as people read it: a whole number, or for costs one with
// the decimal places that it has.
func (u Unit) Format(n int64) string {
	if u != UnitCost {
		return strconv.FormatInt(n, 10)
	}
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	text := sign + strconv.FormatInt(n/Nano, 10)
	if rest := n % Nano; rest != 0 {
		text += "." + strings.TrimRight(strconv.FormatInt(Nano+rest, 10)[1:], "0")
	}
	return text
}

// grows reports whether the amount grows with the output of a response.
func (u Unit) grows() bool { return u == UnitTokens || u == UnitOutput || u == UnitCost }

func joinUnits() string {
	names := make([]string, len(Units))
	for i, u := range Units {
		names[i] = string(u)
	}
	return strings.Join(names, ", ")
}

// clip keeps a number within what counters can add up.
func clip(n int64) int64 { return min(max(n, 0), maxUnits) }

// clipSigned is clip for numbers that may be below zero.
func clipSigned(n int64) int64 { return min(max(n, -2*maxUnits), 2*maxUnits) }
