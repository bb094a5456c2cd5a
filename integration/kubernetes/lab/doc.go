// Package lab pins the programs of a Kubernetes control plane.
package lab
