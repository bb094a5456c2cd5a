package v1alpha1

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Number is a positive number as a whole number or as text, such as 500 or "0.50": text
// is exact, and floating point is not.
//
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:XIntOrString
// +kubebuilder:validation:Type=""
// +kubebuilder:validation:XValidation:rule=`type(self) == int ? int(self) > 0 && int(self) <= 1000000000000000000 : string(self).matches('^[0-9]{1,18}([.][0-9]{1,9})?$') && string(self).matches('[1-9]')`,message="this is not an amount; write a number above 0, in quotes if it has decimal places"
type Number string

// UnmarshalJSON implements json.Unmarshaler.
func (n *Number) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, (*string)(n))
	}
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	var number json.Number
	if err := json.Unmarshal(data, &number); err != nil {
		return fmt.Errorf("not a number: %w", err)
	}
	*n = Number(number)
	return nil
}

// MarshalJSON implements json.Marshaler: a whole number is written as one.
func (n Number) MarshalJSON() ([]byte, error) {
	for _, c := range []byte(n) {
		if c < '0' || c > '9' {
			return json.Marshal(string(n))
		}
	}
	if n == "" || len(n) > 1 && n[0] == '0' || len(n) > 18 {
		return json.Marshal(string(n))
	}
	return []byte(n), nil
}
