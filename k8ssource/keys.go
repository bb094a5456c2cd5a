package k8ssource

import (
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
)

// keysValue is the name of the value in a Secret that has the clients of virtual keys.
const keysValue = "keys"

// builtKeys are the last good clients of a Secret, and what they were made of.
type builtKeys struct {
	secret *object.Item[object.Secret]
	table  *virtualkey.Table
}

// keysReference is the Secret with the clients of virtual keys, if one is configured.
func (t *translation) keysReference() []object.Reference {
	namespace, name, ok := strings.Cut(t.options.KeysSecret, "/")
	if !ok {
		return nil
	}
	return []object.Reference{{Kind: object.KindSecret, Namespace: namespace, Name: name}}
}

// readKeys reads the clients of virtual keys. Without a usable Secret, the last good
// clients stay in use; if there are none, nobody passes.
func (t *translation) readKeys() {
	name := t.options.KeysSecret
	if name == "" {
		return
	}
	built := t.before.keys
	secret := t.secrets[name]
	switch {
	case secret == nil:
		t.reportKeys(object.Origin{Object: object.KindSecret + " " + object.Bounded(name)}, object.ReasonSecretNotFound, "the Secret that the configuration names for keys is not there; create it, with a value "+keysValue)
	case built == nil || built.secret != secret:
		if table := t.parseKeys(secret); table != nil {
			built = &builtKeys{secret, table}
		}
	}
	if t.after.keys = built; built != nil {
		t.state.Keys = built.table
	}
}

// parseKeys reads the Secret's clients, or reports why it cannot.
func (t *translation) parseKeys(secret *object.Item[object.Secret]) *virtualkey.Table {
	at := object.OriginOf(object.KindSecret, secret)
	if object.Refusal(secret.Faults) != "" {
		faults, _ := object.SecretFaults("keys of the configuration", secret)
		t.reportKeys(at, faults[0].Reason, faults[0].Message)
		return nil
	}
	text, ok := secret.Object.Value(keysValue)
	if !ok {
		t.reportKeys(at, object.ReasonInvalidSecret, "the Secret has no value "+keysValue+", where the clients are to be; its values are: "+secret.Object.Keys())
		return nil
	}
	table, err := virtualkey.Parse(keysValue, text)
	if err != nil {
		t.reportKeys(at, object.ReasonInvalidSecret, err.Error())
		return nil
	}
	if table.Len() == 0 {
		t.report(at, []object.Fault{{Reason: object.ReasonInvalidSecret, Used: true, Message: "there are no clients in the value " + keysValue +
			", so nobody passes; add a line that caddy llm hash-key --generate --name NAME prints"}})
	}
	return table
}

// reportKeys reports why keys cannot be read, and what holds meanwhile.
func (t *translation) reportKeys(at object.Origin, reason, message string) {
	meanwhile := "; nobody passes until then"
	if t.before.keys != nil {
		meanwhile = "; the last good keys stay in use"
	}
	t.report(at, []object.Fault{{Reason: reason, Message: message + meanwhile, Used: t.before.keys != nil}})
}
