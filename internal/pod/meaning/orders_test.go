package meaning

import (
	"encoding/json"
	"testing"
)

func TestOrders(t *testing.T) {
	of := func(text string) Value { return Of(json.RawMessage(text)) }
	var v Variation
	v.Learn(of(`{"list":["a","b"],"id":1}`), of(`{"list":["b","a"],"id":2}`))
	orders := v.Orders()
	for name, test := range map[string]struct {
		from, to string
		want     int
	}{
		"another order":            {`{"list":["x","y"],"id":1}`, `{"list":["y","x"],"id":1}`, 0},
		"another item":             {`{"list":["x","y"],"id":1}`, `{"list":["y","z"],"id":1}`, 1},
		"what varies, but no list": {`{"list":["x"],"id":1}`, `{"list":["x"],"id":2}`, 1},
	} {
		if differing, left := Diff(of(test.from), of(test.to), orders); (len(differing) > 0) != (test.want > 0) || left != 0 {
			t.Errorf("%s: %v, %d left", name, differing, left)
		}
	}
	var random Variation
	random.Learn(of(`"a"`), of(`"b"`))
	if !random.Orders().Empty() {
		t.Error("a random text has an order")
	}
}

// A pair of a name and a value is shown by that name, which may be that of a secret.
func TestNamedPairs(t *testing.T) {
	of := func(text string) Value { return Of(json.RawMessage(text)) }
	found, _ := Diff(of(`{"id":1,"a":{"name":"password","value":"x"}}`), of(`{"id":1,"a":{"name":"password","value":"y"}}`), Variation{})
	if len(found) != 1 || found[0].Path != "a[password].value" {
		t.Errorf("%+v", found)
	}
}
