package mask

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// maxNesting bounds how deep a document is followed; what lies below is masked.
const maxNesting = 64

// At returns the JSON value at a path of a Pod, as a change has it, with masks in
// the place of secrets. What is no JSON is masked as a whole.
func (m *Masker) At(path string, raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return nil
	}
	text := string(raw)
	shown := m.once(seen{"at", path, text}, func() string {
		root, err := jsontree.Parse(raw)
		if err != nil {
			return quote(m.seal(text))
		}
		w := walker{masker: m, spec: true}
		w.node(context{name: lastName(path)}, root, 0)
		return m.apply(text, w.edits)
	})
	if shown == text {
		return raw
	}
	return json.RawMessage(shown)
}

// lastName is the name that the last part of a path gives: NAME of
// env[NAME].value and of annotations[NAME].
func lastName(path string) string {
	path = strings.TrimSuffix(path, ".value")
	if inner, ok := strings.CutSuffix(path, "]"); ok {
		return inner[strings.IndexByte(inner, '[')+1:]
	}
	path = path[strings.LastIndexByte(path, ']')+1:]
	return path[strings.LastIndexByte(path, '.')+1:]
}

// document masks within a text that is a JSON object or list.
func (m *Masker) document(c context, text string) (string, bool) {
	trimmed := strings.TrimSpace(text)
	if len(trimmed) < 2 || trimmed[0] != '{' && trimmed[0] != '[' {
		return "", false
	}
	root, err := jsontree.Parse([]byte(text))
	if err != nil {
		return "", false
	}
	c.inherited = c.inherited || nameTells(c.name) == tellsSecret
	c.depth++
	w := walker{masker: m}
	w.node(c, root, 0)
	return m.apply(text, w.edits), true
}

// walker goes through a document, in its order.
type walker struct {
	masker *Masker
	// spec holds for a part of a Pod, where an object of a telling name is the
	// API's, such as a volume's secret.
	spec  bool
	edits []edit
}

func (w *walker) node(c context, n jsontree.Node, nesting int) {
	if nesting > maxNesting {
		w.replace(n, w.masker.seal(string(n.Raw())))
		return
	}
	switch n.Kind() {
	case jsontree.Object:
		w.object(c, n, nesting)
	case jsontree.Array:
		w.list(c, n, nesting)
	case jsontree.String:
		text := n.String()
		if shown := w.masker.value(c, text); shown != text {
			w.replace(n, shown)
		}
	case jsontree.Number:
		if text := n.String(); c.telling().gives(text) {
			w.replace(n, w.masker.seal(text))
		}
	}
}

func (w *walker) object(c context, n jsontree.Node, nesting int) {
	named := n.Get("name")
	if named.Kind() != jsontree.String {
		named = n.Get("key")
	}
	secret := !w.spec && n.Get("kind").String() == "Secret"
	webKey := n.Get("kty").Exists()
	for child := range n.Children() {
		inner := c
		inner.name = string(child.Name())
		if !w.spec {
			inner.inherited = c.inherited || inheritable(inner.name) || secret && strings.HasSuffix(strings.ToLower(inner.name), "data")
		}
		if webKey && slices.Contains(webKeySecrets, inner.name) {
			inner.name = "private_key"
		}
		if strings.EqualFold(inner.name, "value") && named.Kind() == jsontree.String {
			inner.name = named.String()
		}
		w.node(inner, child, nesting+1)
	}
}

// webKeySecrets are the private members of a JSON web key (RFC 7518, 6.2.2, 6.3.2
// and 6.4.1).
var webKeySecrets = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// inheritable reports whether all of an object or list of this name is secret. A
// "secret" may be a reference to one, as in a Pod's volumes.
func inheritable(name string) bool {
	return !strings.EqualFold(name, "secret") && nameTells(name) == tellsSecret
}

// list goes through items: one after a flag is the flag's value.
func (w *walker) list(c context, n jsontree.Node, nesting int) {
	before := ""
	for item := range n.Children() {
		inner := c
		text := ""
		if item.Kind() == jsontree.String {
			text = item.String()
		}
		if flag, ok := flagName(before); ok && !strings.HasPrefix(text, "--") {
			inner.name = flag
			if userFlag(before) {
				inner.name = "auth"
			}
		}
		before = text
		w.node(inner, item, nesting+1)
	}
}

func (w *walker) replace(n jsontree.Node, text string) {
	start, end := n.Offsets()
	w.edits = append(w.edits, edit{start, end, quote(text)})
}

// flagName is the name of a flag that stands alone: its value follows.
func flagName(text string) (string, bool) {
	name := strings.TrimLeft(text, "-")
	if name == text || name == "" || len(text) > maxName || strings.ContainsAny(name, "= \t\n:") {
		return "", false
	}
	return name, true
}

// userFlag holds for curl's flags of USER:PASSWORD.
func userFlag(flag string) bool {
	return flag == "-u" || flag == "--user" || flag == "-U" || flag == "--proxy-user"
}

// quote is a text as JSON.
func quote(text string) string {
	quoted, err := jsontext.AppendQuote(nil, text)
	if err != nil { // of invalid UTF-8, which it replaces
		return string(quoted)
	}
	return string(quoted)
}
