package object

import (
	"bytes"
	"encoding/json"
	"errors"

	"k8s.io/apimachinery/pkg/api/resource"
)

// injectionAnnotations is what the annotations of a pod begin with that change how it
// gets its sidecar.
const injectionAnnotations = "sidecar.llm-gateway/"

// amounts are those annotations that hold an amount of CPU or memory.
var amounts = []string{"cpu", "cpuLimit", "memory", "memoryLimit"}

// CheckQuantity reports what is wrong with an amount of CPU or memory, if anything. An
// API server responds with status 500 when a webhook writes a bad one into a pod.
func CheckQuantity(value string) error {
	q, err := resource.ParseQuantity(value)
	if err != nil || q.Sign() < 0 {
		return errors.New("this is not an amount; write one such as 64Mi for memory, or 100m for cpu")
	}
	return nil
}

// podFaults are what is wrong with a pod's annotations for its sidecar. The object may
// be a pod, or what makes pods.
func podFaults(data []byte) (faults []Fault) {
	if !bytes.Contains(data, []byte(injectionAnnotations)) {
		return nil
	}
	type pod struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	var object struct {
		pod
		Spec struct {
			Template    pod `json:"template"`
			JobTemplate struct {
				Spec struct {
					Template pod `json:"template"`
				} `json:"spec"`
			} `json:"jobTemplate"`
		} `json:"spec"`
	}
	if json.Unmarshal(data, &object) != nil {
		return nil // it is another kind's affair
	}
	for _, at := range []struct {
		path string
		pod  pod
	}{{"", object.pod}, {"spec.template.", object.Spec.Template}, {"spec.jobTemplate.spec.template.", object.Spec.JobTemplate.Spec.Template}} {
		for _, name := range amounts {
			value, found := at.pod.Metadata.Annotations[injectionAnnotations+name]
			if !found {
				continue
			}
			if err := CheckQuantity(value); err != nil {
				faults = append(faults, *Faultf(ReasonInvalidField, "%smetadata.annotations[%s%s]: %s", at.path, injectionAnnotations, name, err))
			}
		}
	}
	return faults
}
