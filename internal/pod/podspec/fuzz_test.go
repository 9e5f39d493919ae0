package podspec

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// FuzzFields reads FieldsV1 as structured-merge-diff writes them, and asks for
// items whose keys may need escapes.
func FuzzFields(f *testing.F) {
	f.Add("name", "A", "B", int64(80), "TCP")
	f.Add("f", `a"b`, `a\"b`, int64(8080), `T"C,P`)
	f.Add(".", `"}`, "é\u2028<>&", int64(-1), "")
	f.Add("", "k:{}", `","protocol":"`, int64(0), `"`)
	f.Add("x", "\x00\\", strings.Repeat(`\"`, 500), int64(math.MinInt64), "\xff")
	f.Add("é", "😀", "\ufeff", int64(math.MaxInt64), "UDP")
	f.Fuzz(func(t *testing.T, field, key, other string, port int64, protocol string) {
		for _, text := range []string{field, key, other, protocol} {
			if !utf8.ValidString(text) {
				return // no document of the API server's
			}
		}
		name := fieldpath.KeyByFields("name", key)
		numbered := fieldpath.KeyByFields("containerPort", port, "protocol", protocol)
		set := fieldpath.NewSet(
			fieldpath.MakePathOrDie("spec", field, name, "image"),
			fieldpath.MakePathOrDie("spec", field, name),
			fieldpath.MakePathOrDie("spec", "ports", numbered, "name"),
			fieldpath.MakePathOrDie("spec", "finalizers", value.NewValueInterface(key)),
		)
		src, err := set.ToJSON()
		if err != nil {
			t.Fatal(err)
		}
		root, err := jsontree.Parse(src)
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		spec := Union([]Manager{{Fields: root}}).Field([]byte("spec"))
		item := func(list, key, second string) Fields {
			m := Member{Key: []byte(key), Second: []byte(second), Field: []byte(list), Item: true}
			return spec.Field([]byte(list)).Item(m)
		}
		if got := spec.Field([]byte(field)).Item(Member{Key: []byte(key), Field: []byte("env"), Item: true}); !got.Has() || !got.Field([]byte("image")).Has() {
			t.Errorf("%s: the item %q is not found", src, key)
		}
		if other != key && !spec.Field([]byte(field)).Item(Member{Key: []byte(other), Field: []byte("env"), Item: true}).Empty() {
			t.Errorf("%s: an item %q is found", src, other)
		}
		number := strconv.FormatInt(port, 10)
		if got := item("ports", number, protocol); got.Empty() || got.Has() || !got.Field([]byte("name")).Has() {
			t.Errorf("%s: the port %d/%s is not found, or owned itself", src, port, protocol)
		}
		if !item("ports", number+"0", protocol).Empty() || !item("ports", number, protocol+"x").Empty() {
			t.Errorf("%s: another port is found", src)
		}
		if !item("finalizers", key, "").Has() || other != key && !item("finalizers", other, "").Empty() {
			t.Errorf("%s: of the set, only %q is owned", src, key)
		}
	})
}

// FuzzManagers reads whatever stands in managedFields.
func FuzzManagers(f *testing.F) {
	var manyKeys string // are indexed
	for i := range fewFields {
		manyKeys += fmt.Sprintf(`"k:{\"name\":\"a%d\"}":{},`, i)
	}
	for _, seed := range []string{
		`[]`, `null`, `{}`, `[null]`, `[{"fieldsV1":[]}]`, `[{"fieldsV1":{"f:spec":null}}]`,
		`[{"manager":"m","operation":"Apply","time":"t","fieldsV1":{"f:spec":{"f:containers":{"k:{":{".":{}},"k:{\"name\":\"a\\u0062\"}":{".":{},"f:image":{}}}}}},{"subresource":"status"}]`,
		`[{"operation":"Update","fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"ab\"}":{".":{}}}}}},{"operation":"Apply","fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"ab\"}":{".":{},"f:image":{}}}}}}]`,
		`[{"fieldsV1":{"f:spec":{},"f:spec":{}}}]`, "[{\"fieldsV1\":{\"f:\xff\":{}}}]", `[{"manager":1,"time":{},"fieldsV1":{"f:spec":{"f:containers":[]}}}]`,
		`[{"fieldsV1":` + strings.Repeat(`{"f:spec":`, 300) + `{}` + strings.Repeat(`}`, 300) + `}]`,
		`[` + strings.Repeat(`{"fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"ab\"}":{"f:image":{}}}}}},`, 70) + `{}]`,
		`[{"fieldsV1":{"f:spec":{"f:containers":{` + manyKeys + `"k:{\"name\":\"ab\"}":{".":{}}}}}}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		pod, err := jsontree.Parse(fmt.Appendf(nil, `{"metadata":{"managedFields":%s},"spec":{"containers":[{"name":"ab","image":"i"}]}}`, src))
		if err != nil {
			return
		}
		managers, err := Managers(pod)
		if err != nil {
			return
		}
		if created, later := Created(managers), Later(managers); len(created)+len(later) != len(managers) {
			t.Errorf("%d managers are %d creators and %d later ones", len(managers), len(created), len(later))
		}
		all := Union(managers).Field([]byte("spec"))
		view := NewView(pod)
		for _, c := range view.Containers() {
			owned := all.Field(c.Field).Item(c.Member)
			if found := view.Lookup(all.Field(c.Field), c.Field).Member(c.Member); owned.Has() && !found.Has() {
				t.Error("a container that is owned is not looked up as such")
			}
			form, some := view.AppendInjected(nil, c.Member, owned)
			if owned.Empty() && !bytes.Equal(form, view.AppendCanonical(nil, c.Member)) {
				t.Error("a container that nobody owns is not injected whole")
			}
			if some != (len(form) > 0) {
				t.Errorf("injected %v: %q", some, form)
			}
			if again, _ := view.AppendInjected([]byte("x"), c.Member, owned); string(again) != "x"+string(form) {
				t.Errorf("injected %q, and then %q", form, again)
			}
		}
	})
}
