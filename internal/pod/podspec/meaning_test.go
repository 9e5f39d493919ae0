package podspec

import (
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// meaning writes a value so that texts are equal where values mean the same in
// a Pod. It knows the tables of listKeys, apiDefault and quantity, which tests
// compare with the API's own, and nothing else of what it is to check.
func meaning(parent, field string, item bool, value, limits any) string {
	switch value := value.(type) {
	case map[string]any:
		var lines []string
		for name, child := range value {
			if nothing(name, child, hollowDepth) || filledIn(field, name, child, value, limits) {
				continue
			}
			lines = append(lines, strconv.Quote(name)+":"+meaning(field, name, false, child, value["limits"]))
		}
		slices.Sort(lines)
		return "{" + strings.Join(lines, ",") + "}"
	case []any:
		return meaningOfList(field, item, slices.DeleteFunc(slices.Clone(value), func(i any) bool { return token(field, i) }))
	}
	if quantity([]byte(parent), []byte(field)) && !item {
		if amount, ok := amountOf(value); ok {
			return amount
		}
	}
	switch value := value.(type) {
	case string:
		return strconv.Quote(value)
	case json.Number:
		return numberOf(value)
	}
	return fmt.Sprint(value)
}

func meaningOfList(field string, within bool, list []any) string {
	type entry struct{ key, text string }
	var entries []entry
	for _, item := range list {
		key, ok := keyOf(field, item)
		if !ok || within {
			var lines []string
			for _, item := range list {
				lines = append(lines, meaning("", field, true, item, nil))
			}
			return "[" + strings.Join(lines, ",") + "]"
		}
		entries = append(entries, entry{key, key + "=" + meaning("", field, true, item, nil)})
	}
	if field == "env" {
		defined := map[string]int{}
		for _, item := range list {
			defined[item.(map[string]any)["name"].(string)]++
		}
		seen := map[string]int{}
		for i, item := range list {
			variable := item.(map[string]any)
			for _, match := range dollar.FindAllStringSubmatch(fmt.Sprint(variable["value"]), -1) {
				if defined[match[1]] > 0 {
					entries[i].text += fmt.Sprintf(" after %d of %s", seen[match[1]], match[1])
				}
			}
			seen[variable["name"].(string)]++
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	return fmt.Sprint("<", entries, ">")
}

var (
	dollar = regexp.MustCompile(`(?s)\$(?:[^(]|\(([^)]*)\))`)
	latest = regexp.MustCompile(`^[^@:]*:latest(@|$)`)
	most   = resource.MustParse("8Ei")
)

func keyOf(field string, item any) (string, bool) {
	first, second := listKeys([]byte(field))
	values := []any{item}
	switch {
	case first == "" && !setList([]byte(field)):
		return "", false
	case first != "":
		object, _ := item.(map[string]any)
		values = []any{object[first]}
		if second != "" {
			values = append(values, object[second])
		}
	}
	for _, value := range values {
		switch value.(type) {
		case nil, map[string]any, []any:
			return "", false
		}
	}
	return fmt.Sprint(values...), true
}

func token(field string, item any) bool {
	object, _ := item.(map[string]any)
	name, _ := object["name"].(string)
	return field == "volumeMounts" && strings.HasPrefix(name, TokenVolume)
}

// nothing reports whether a member says nothing.
func nothing(name string, value any, depth int) bool {
	switch value := value.(type) {
	case nil:
		return true
	case []any:
		return !slices.ContainsFunc(value, func(item any) bool { return !token(name, item) })
	case map[string]any:
		if depth == 0 || !slices.Contains([]string{"limits", "requests", "resources", "securityContext", "metadata"}, name) {
			return false
		}
		for child, value := range value {
			if !nothing(child, value, depth-1) {
				return false
			}
		}
		return true
	}
	return false
}

// filledIn reports whether the API server would add the value itself.
func filledIn(parent, name string, value any, beside map[string]any, limits any) bool {
	text, scalar := textOf(value)
	if preset, ok := apiDefault([]byte(parent), []byte(name)); ok && scalar && text == preset {
		return true
	}
	switch limits, _ := limits.(map[string]any); {
	case name == "imagePullPolicy":
		image, _ := textOf(beside["image"])
		image = image[strings.LastIndex(image, "/")+1:]
		if !strings.ContainsAny(image, ":@") || latest.MatchString(image) {
			return text == "Always"
		}
		return text == "IfNotPresent"
	case name == "requests" && beside["limits"] != nil:
		requests, _ := value.(map[string]any)
		for resource, amount := range requests {
			if !sameAmount(amount, beside["limits"].(map[string]any)[resource]) {
				return false
			}
		}
		return true
	case parent == "requests":
		return sameAmount(value, limits[name])
	}
	return false
}

func sameAmount(a, b any) bool {
	amountA, okA := amountOf(a)
	amountB, okB := amountOf(b)
	textA, _ := textOf(a)
	textB, _ := textOf(b)
	return b != nil && (textA == textB || okA && okB && amountA == amountB)
}

func textOf(value any) (string, bool) {
	switch value := value.(type) {
	case nil, map[string]any, []any:
		return "", false
	default:
		return fmt.Sprint(value), true
	}
}

// amountOf reads a quantity of at most 2^63: no resource has more.
func amountOf(value any) (string, bool) {
	text, _ := textOf(value)
	if len(text) > 30 || strings.Contains(text, "e-") || value == true {
		return "", false
	}
	q, err := resource.ParseQuantity(text)
	if err != nil || q.Cmp(most) > 0 {
		return "", false
	}
	exact, _ := new(big.Rat).SetString(q.AsDec().String())
	return "amount " + exact.RatString(), true
}

// numberOf writes integers as they stand, and other numbers as the nearest
// float64.
func numberOf(n json.Number) string {
	if float, err := n.Float64(); err == nil && (strings.ContainsAny(n.String(), ".eE") || n == "-0") {
		encoded, _ := json.Marshal(float + 0) // finite; -0 is 0
		return string(encoded)
	}
	return n.String()
}

// places adds the paths of everything in a value.
func places(in map[string]bool, path, field string, value any) {
	in[path] = true
	switch value := value.(type) {
	case map[string]any:
		for name, child := range value {
			places(in, strings.TrimPrefix(path+"."+name, "."), name, child)
		}
	case []any:
		for _, item := range value {
			if object, ok := item.(map[string]any); ok || setList([]byte(field)) {
				first, second := listKeys([]byte(field))
				key, _ := textOf(item)
				if ok {
					key, _ = textOf(object[first])
				}
				if at, _ := textOf(object[second]); second != "" && at != keyDefault(second) {
					key += "/" + at
				}
				places(in, path+"["+key+"]", field, item)
			}
		}
	}
}
