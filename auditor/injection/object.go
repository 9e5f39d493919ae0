package injection

import (
	"encoding/json"
	"slices"
)

// object is a JSON object of which some members are read or changed and all
// others are left as they are.
type object map[string]json.RawMessage

// edit changes the Pod's spec.
func (p *pod) edit(change func(spec object) error) error {
	var spec object
	if err := json.Unmarshal(p.Spec, &spec); err != nil {
		return err
	}
	if err := change(spec); err != nil {
		return err
	}
	raw, err := json.Marshal(spec)
	p.Spec = raw
	return err
}

// get decodes a member; an absent one leaves value as it is.
func (o object) get(member string, value any) error {
	raw, ok := o[member]
	if !ok {
		return nil
	}
	return json.Unmarshal(raw, value)
}

func (o object) set(members map[string]any) error {
	for member, value := range members {
		raw, err := json.Marshal(value)
		if err != nil {
			return err
		}
		o[member] = raw
	}
	return nil
}

// name returns the member "name", empty if there is none.
func (o object) name() string {
	var name string
	if err := o.get("name", &name); err != nil {
		return ""
	}
	return name
}

// addEnv adds an environment variable to those containers of the list that do
// not have it.
func (o object) addEnv(list, name string, valueFrom any) error {
	var containers []object
	if err := o.get(list, &containers); err != nil || len(containers) == 0 {
		return err
	}
	for _, container := range containers {
		var env []object
		if err := container.get("env", &env); err != nil {
			return err
		}
		if slices.ContainsFunc(env, func(e object) bool { return e.name() == name }) {
			continue
		}
		added := object{}
		if err := added.set(map[string]any{"name": name, "valueFrom": valueFrom}); err != nil {
			return err
		}
		if err := container.set(map[string]any{"env": append(env, added)}); err != nil {
			return err
		}
	}
	return o.set(map[string]any{list: containers})
}
