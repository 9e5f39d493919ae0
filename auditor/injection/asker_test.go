package injection

import (
	"encoding/json"
	"strings"
	"testing"
)

// What decides by who asks is found, wherever CEL can say it; what only mentions it
// is not.
func TestLooksAtAsker(t *testing.T) {
	for spec, want := range map[string]bool{
		`{}`: false,
		`{"matchConditions":[{"name":"a","expression":"request.userInfo.username != 'x'"}]}`:                                            true,
		`{"matchConditions":[{"name":"a","expression":"request['userInfo'].groups.exists(g, g == 'x')"}]}`:                              true,
		`{"matchConditions":[{"name":"a","expression":"request[?'userInfo'].hasValue()"}]}`:                                             true,
		`{"matchConditions":[{"name":"a","expression":"has(request.userInfo.extra)"}]}`:                                                 true,
		`{"matchConditions":[{"name":"a","expression":"request.?userInfo.orValue({}) == {}"}]}`:                                         true,
		`{"matchConditions":[{"name":"breakglass","expression":"!authorizer.group('x').resource('y').check('breakglass').allowed()"}]}`: true,
		`{"matchConditions":[{"name":"a","expression":"[request].exists(r, r.userInfo.username == 'x')"}]}`:                             true,
		`{"matchConditions":[{"name":"a","expression":"request.namespace != 'userInfo'"}]}`:                                             false,
		`{"matchConditions":[{"name":"a","expression":"object.metadata.name != 'authorizer' // request.userInfo"}]}`:                    false,
		`{"matchConditions":[{"name":"a","expression":"object.spec.userInfo == object.authorizer"}]}`:                                   false,
		`{"variables":[{"name":"u","expression":"request.userInfo.username"}],"validations":[{"expression":"variables.u == 'x'"}]}`:     true,
		`{"variables":[{"name":"u","expression":"request.userInfo.username"},{"name":"v","expression":"variables.u + 'x'"}],` +
			`"validations":[{"expression":"variables.v == 'x'"}]}`: true,
		`{"variables":[{"name":"u","expression":"request.userInfo.username"}],"validations":[{"expression":"variables['u'] == 'x'"}]}`:                                                                                    true,
		`{"variables":[{"name":"u","expression":"request.userInfo.username"}],"validations":[{"expression":"object.x == 'x'","messageExpression":"variables.u"}]}`:                                                        false,
		`{"validations":[{"expression":"object.x","message":"request.userInfo","messageExpression":"'for ' + request.userInfo.username"}]}`:                                                                               false,
		`{"auditAnnotations":[{"key":"a","valueExpression":"request.userInfo.username"}],"validations":[{"expression":"true"}]}`:                                                                                          false,
		`{"mutations":[{"patchType":"ApplyConfiguration","applyConfiguration":{"expression":"Object{metadata: Object.metadata{labels: {'u': request.userInfo.username}}}"}}]}`:                                            true,
		`{"mutations":[{"patchType":"JSONPatch","jsonPatch":{"expression":"[JSONPatch{op: 'add', path: '/x', value: string(authorizer.serviceAccount('a', 'b').group('').resource('pods').check('get').allowed())}]"}}]}`: true,
		`{"mutations":[{"patchType":"JSONPatch","jsonPatch":{"expression":"[JSONPatch{op: 'add', path: '/userInfo', value: 'authorizer'}]"}}]}`:                                                                           false,
		`{"matchConditions":[{"name":"a","expression":"request.userInfo.(newer syntax)"}]}`:                                                                                                                               true,
	} {
		var d decider
		if err := json.Unmarshal([]byte(spec), &d); err != nil {
			t.Fatal(err)
		}
		if got := d.looksAtAsker(); got != want {
			t.Errorf("%t for %s", got, spec)
		}
	}
}

func FuzzLooksAtAsker(f *testing.F) {
	f.Add("variables.a || request.userInfo.username == 'x'", "variables.a")
	f.Fuzz(func(t *testing.T, condition, variable string) {
		d := decider{MatchConditions: []expression{{"a", condition}}, Variables: []expression{{"a", variable}}}
		if d.looksAtAsker() && !mentions(condition) && !mentions(variable) {
			t.Errorf("%q and %q", condition, variable)
		}
	})
}

// mentions reports whether any word is in the text without which nothing looks at
// who asks.
func mentions(text string) bool {
	for _, word := range []string{"request", "authorizer", "variables"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}
