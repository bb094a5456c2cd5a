package source

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// The environment variables that say which workload the gateway acts for.
const (
	EnvNamespace = "LLM_NAMESPACE"
	EnvLabels    = "LLM_LABELS" // as in a=b,c=d
	EnvWorkload  = "LLM_WORKLOAD"
)

// FromEnvironment fills in what is not set from environment variables; lookup is
// os.LookupEnv. LLM_LABELS that is there and empty means that there are no labels.
func (o *Settings) FromEnvironment(lookup func(string) (string, bool)) error {
	if o.Namespace == "" {
		o.Namespace, _ = lookup(EnvNamespace)
	}
	if o.Workload == "" {
		o.Workload, _ = lookup(EnvWorkload)
	}
	text, ok := lookup(EnvLabels)
	if o.Labels != nil || !ok {
		return nil
	}
	list := strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
	labels, err := parseLabels(list)
	if err != nil {
		return fmt.Errorf("%s: %w", EnvLabels, err)
	}
	o.Labels = labels
	return nil
}

// ReadLabels takes the labels from the labels file, if they are not set and there is
// one.
func (o *Settings) ReadLabels() error {
	if o.Labels != nil || o.LabelsFile == "" {
		return nil
	}
	data, err := os.ReadFile(o.LabelsFile)
	if err != nil {
		return err
	}
	labels, err := parseDownwardLabels(data)
	if err != nil {
		return fmt.Errorf("%s: %w", o.LabelsFile, err)
	}
	o.Labels = labels
	return nil
}

// parseDownwardLabels reads what the downward API writes into a file: a line of
// name="value" for each label, the value quoted as in Go.
func parseDownwardLabels(data []byte) (map[string]string, error) {
	labels := make(map[string]string)
	lines := bufio.NewScanner(bytes.NewReader(data))
	for number := 1; lines.Scan(); number++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		name, quoted, ok := strings.Cut(lines.Text(), "=")
		value, err := strconv.Unquote(strings.TrimSpace(quoted))
		if name = strings.TrimSpace(name); !ok || name == "" || err != nil {
			return nil, fmt.Errorf("line %d is not of the form name=\"value\"", number)
		}
		labels[name] = value
	}
	return labels, lines.Err()
}
