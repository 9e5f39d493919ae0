package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
)

const module = "github.com/sidecar-drift/sidecar-drift/"

// comments are doc comments on one line each, by "package/path.Type" and
// "package/path.Type.Field".
type comments map[string]string

func (c comments) of(t reflect.Type) string { return c[t.PkgPath()+"."+t.Name()] }

func (c comments) ofField(t reflect.Type, field string) string {
	return c[t.PkgPath()+"."+t.Name()+"."+field]
}

// readComments reads the sources of some packages of the module whose root is
// given.
func readComments(root string, packages ...string) (comments, error) {
	found := comments{}
	for _, path := range packages {
		files, err := filepath.Glob(filepath.Join(root, path, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			for _, declared := range file.Decls {
				if types, ok := declared.(*ast.GenDecl); ok && types.Tok == token.TYPE {
					found.add(module+path, types)
				}
			}
		}
	}
	return found, nil
}

func (c comments) add(path string, types *ast.GenDecl) {
	for _, spec := range types.Specs {
		named := spec.(*ast.TypeSpec)
		doc := named.Doc
		if doc == nil {
			doc = types.Doc
		}
		key := path + "." + named.Name.Name
		c[key] = oneLine(doc)
		structure, ok := named.Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, field := range structure.Fields.List {
			for _, name := range field.Names {
				c[key+"."+name.Name] = oneLine(field.Doc)
			}
		}
	}
}

func oneLine(doc *ast.CommentGroup) string { return strings.Join(strings.Fields(doc.Text()), " ") }
