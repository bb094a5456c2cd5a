//go:build lab

package lab

// Modules that are wanted for their files only.
import (
	_ "istio.io/api/networking/v1" // CustomResourceDefinitions of Istio
)
