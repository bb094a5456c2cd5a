//go:build lab

package lab

import _ "istio.io/api/networking/v1"
