package listen

import (
	"strings"
	"testing"
)

// TestCertificatesThatAreNone holds that an error about a pair repeats nothing of it: the
// types of PEM blocks may be anything.
func TestCertificatesThatAreNone(t *testing.T) {
	const secret = "SK-PROJ-ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	block := "-----BEGIN " + secret + "-----\nYQ==\n-----END " + secret + "-----\n"
	for _, pair := range [][2]string{{"", ""}, {secret, secret}, {block, block}, {block, ""}, {"-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n", block}} {
		if _, err := NewCertificate("Secret a/b", []byte(pair[0]), []byte(pair[1]), nil); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", pair, err)
		}
	}
}
