package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// standardInput is the file name that stands for it.
const standardInput = "-"

// pod is a Pod from a file.
type pod struct {
	source string // the file's name
	root   jsontree.Node
}

// readPods reads all Pods of a file, "-" for the given input: JSON or YAML,
// objects, Lists or several of either one after the other.
func readPods(file string, in io.Reader) ([]pod, error) {
	source, documents, err := readDocuments(file, in, "Pods")
	if err != nil {
		return nil, err
	}
	var pods []pod
	for _, document := range documents {
		root, err := jsontree.Parse(document)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", source, err)
		}
		if pods, err = appendPods(pods, source, root); err != nil {
			return nil, fmt.Errorf("%s: %w", source, err)
		}
	}
	return pods, nil
}

// readDocuments reads a file, "-" for the given input, and returns what it is called in
// messages, and its documents, at least one, as JSON.
func readDocuments(file string, in io.Reader, what string) (source string, documents [][]byte, err error) {
	source = file
	if file == standardInput {
		source = "standard input"
		if isTerminal(in) {
			return source, nil, misuse("no input: give a file, or pipe %s in", what)
		}
	} else {
		f, err := os.Open(file)
		if err != nil {
			return source, nil, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return source, nil, fmt.Errorf("read %s: %w", source, err)
	}
	if documents, err = splitDocuments(text); err != nil {
		return source, nil, fmt.Errorf("%s: %w", source, err)
	}
	if len(documents) == 0 {
		return source, nil, fmt.Errorf("%s is empty: give %s as JSON or YAML", source, what)
	}
	return source, documents, nil
}

// splitDocuments returns each document of a stream as JSON.
func splitDocuments(text []byte) ([][]byte, error) {
	start := bytes.TrimLeftFunc(text, unicode.IsSpace)
	if bytes.HasPrefix(start, []byte("{")) && json.Valid(firstValue(start)) {
		return splitJSON(start)
	}
	return splitYAML(text)
}

// firstValue is the first JSON value of a stream; nil if there is none. YAML
// may begin with a brace, too.
func firstValue(text []byte) []byte {
	var value json.RawMessage
	if json.NewDecoder(bytes.NewReader(text)).Decode(&value) != nil {
		return nil
	}
	return value
}

func splitJSON(text []byte) ([][]byte, error) {
	var documents [][]byte
	decoder := json.NewDecoder(bytes.NewReader(text))
	for {
		var document json.RawMessage
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, fmt.Errorf("not JSON: %w", err)
		}
		documents = append(documents, document)
	}
}

func splitYAML(text []byte) ([][]byte, error) {
	var documents [][]byte
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		part, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, fmt.Errorf("not YAML: %w", err)
		}
		document, err := yaml.YAMLToJSONStrict(part)
		if err != nil {
			return nil, fmt.Errorf("neither JSON nor YAML: %w", err)
		}
		if string(document) != "null" { // nothing but comments
			documents = append(documents, document)
		}
	}
}

func appendPods(pods []pod, source string, object jsontree.Node) ([]pod, error) {
	switch kind := object.Get("kind").String(); {
	case object.Kind() != '{':
		return nil, errors.New("holds something else than objects: give Pods as kubectl prints them")
	case kind == "Pod" && object.Get("apiVersion").String() == "v1":
		return append(pods, pod{source, object}), nil
	case kind == "List" || kind == "PodList":
		for item := range object.Get("items").Children() {
			// The items of a PodList say neither their kind nor their version.
			if kind == "PodList" && !item.Get("kind").Exists() {
				pods = append(pods, pod{source, item})
				continue
			}
			var err error
			if pods, err = appendPods(pods, source, item); err != nil {
				return nil, err
			}
		}
		return pods, nil
	case kind == "":
		return nil, errors.New("holds an object without kind: give Pods as kubectl prints them")
	default:
		name := report.Printable(pod{root: object}.qualifiedName())
		return nil, fmt.Errorf("%s %s is no Pod: give Pods, as kubectl get pods -o json --show-managed-fields prints them", report.Printable(kind), name)
	}
}

func (p pod) name() string {
	if name := p.root.Get("metadata", "name").String(); name != "" {
		return name
	}
	return p.root.Get("metadata", "generateName").String()
}

func (p pod) namespace() string { return p.root.Get("metadata", "namespace").String() }

func (p pod) hasManagedFields() bool { return p.root.Get("metadata", "managedFields").Exists() }

func (p pod) qualifiedName() string {
	if p.namespace() == "" {
		return p.name()
	}
	return p.namespace() + "/" + p.name()
}

// String says where the Pod is from, for messages.
func (p pod) String() string {
	return fmt.Sprintf("%s: Pod %s", p.source, report.Printable(p.qualifiedName()))
}
