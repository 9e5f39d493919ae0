package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	// Line of the file, 1 for the first; 0 if it was not read from one.
	Line int
	// Path of the key, such as autoRollout.windows[0].start; empty for the file
	// as a whole.
	Path string
	// Message says what is wrong and what to do.
	Message string
}

// String returns "PATH: MESSAGE".
func (p Problem) String() string {
	if p.Path == "" {
		return p.Message
	}
	return p.Path + ": " + p.Message
}

// Invalid is the error of a configuration: all that is wrong with it, by line.
type Invalid []Problem

func (e Invalid) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
		if p.Line > 0 {
			lines[i] = fmt.Sprintf("line %d: %s", p.Line, p)
		}
	}
	return strings.Join(lines, "\n")
}

// Load reads a configuration, over the defaults, and validates it. A key that
// is not known is an error, and so are a key given twice or without a value, a
// value of the wrong type, and a second document: the error is Invalid then, and
// the configuration must not be used.
func Load(text []byte) (Configuration, error) {
	root, err := parse(text)
	if err != nil {
		return Configuration{}, err
	}
	d := decoder{lines: map[string]int{}}
	if d.checkVersion(root); len(d.problems) > 0 {
		return Configuration{}, d.invalid() // its keys may mean anything
	}
	c := Default()
	d.decode(root, reflect.ValueOf(&c).Elem(), "")
	for _, p := range c.Validate() {
		if !d.known(p.Path) {
			p.Line = d.line(p.Path)
			d.problems = append(d.problems, p)
		}
	}
	if len(d.problems) > 0 {
		return Configuration{}, d.invalid()
	}
	return c, nil
}

// parse returns the one document's root.
func parse(text []byte) (*yaml.Node, error) {
	in := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	err := in.Decode(&first)
	if errors.Is(err, io.EOF) {
		return nil, Invalid{{Line: 1, Message: "is empty: begin with apiVersion: " + APIVersion + " and kind: " + Kind}}
	}
	if err != nil {
		return nil, syntaxError(err)
	}
	switch err := in.Decode(&second); {
	case err == nil:
		return nil, Invalid{{Line: second.Line, Message: "a second document begins here: give one"}}
	case !errors.Is(err, io.EOF):
		return nil, syntaxError(err)
	}
	return first.Content[0], nil
}

var (
	yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)
	// The YAML package counts from 0 in what its parser, not its scanner, says.
	fromZero = regexp.MustCompile(`did not find expected (key|node content|'-' indicator|',' or '[\]}]'|<document start>)`)
)

// syntaxError moves the line that the YAML package has found into its place.
func syntaxError(err error) Invalid {
	found := yamlLine.FindStringSubmatch(err.Error())
	line, _ := strconv.Atoi(found[1])
	if line > 0 && fromZero.MatchString(err.Error()) {
		line++
	}
	return Invalid{{Line: max(line, 1), Message: "not YAML: " + strings.TrimPrefix(err.Error(), found[0])}}
}

// checkVersion looks at apiVersion and kind, before all else.
func (d *decoder) checkVersion(root *yaml.Node) {
	if root.Kind != yaml.MappingNode {
		d.report(root, "", "is %s: begin with apiVersion: %s and kind: %s", describe(root), APIVersion, Kind)
		return
	}
	for _, want := range []struct{ key, value, meaning string }{
		{"apiVersion", APIVersion, "this program reads"},
		{"kind", Kind, "a configuration is of kind"},
	} {
		switch given := valueOf(root, want.key); {
		case given == nil:
			d.report(root, want.key, "is missing: %s %s", want.meaning, want.value)
		case resolve(given).Value != want.value:
			d.report(given, want.key, "is %s: %s %s", describe(given), want.meaning, want.value)
		}
	}
}

// valueOf returns the value of a map's key; nil if there is none.
func valueOf(object *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(object.Content); i += 2 {
		if object.Content[i].Value == key {
			return object.Content[i+1]
		}
	}
	return nil
}

// known reports whether there is a problem with the key or the one it is in.
func (d *decoder) known(path string) bool {
	return slices.ContainsFunc(d.problems, func(p Problem) bool {
		rest, below := strings.CutPrefix(path, p.Path)
		return below && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// line is where the key is or, if the file has none, the nearest one that it
// would be in.
func (d *decoder) line(path string) int {
	for {
		if line, ok := d.lines[path]; ok {
			return line
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
}

func (d *decoder) invalid() Invalid {
	slices.SortStableFunc(d.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return d.problems
}
