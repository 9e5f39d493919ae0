package doctor

import (
	"fmt"

	"github.com/google/cel-go/cel"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// covers reports whether a policy's conditions hold for requests of a user, as far
// as they ask for the user only: what else they ask for is an error. Without any,
// they hold for everybody.
func covers(conditions []admissionregistrationv1.MatchCondition, user string, groups []string) (bool, error) {
	env, err := cel.NewEnv(cel.Variable("request", cel.DynType))
	if err != nil {
		return false, err
	}
	asked := map[string]any{"request": map[string]any{"userInfo": map[string]any{"username": user, "groups": groups}}}
	for _, c := range conditions {
		compiled, issues := env.Compile(c.Expression)
		if issues.Err() != nil {
			return false, fmt.Errorf("the condition %s: %w", c.Name, issues.Err())
		}
		program, err := env.Program(compiled)
		if err != nil {
			return false, fmt.Errorf("the condition %s: %w", c.Name, err)
		}
		holds, _, err := program.Eval(asked)
		if err != nil {
			return false, fmt.Errorf("the condition %s: %w", c.Name, err)
		}
		if holds.Value() != true {
			return false, nil
		}
	}
	return true, nil
}
