package injection

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/parser"
)

// expression is CEL, as an element of a list of the API has it.
type expression struct {
	Name       string `json:"name"`
	Expression string `json:"expression"`
}

// decider is what may look at who asks: the CEL that decides whether something is
// asked, and what it answers. What only words a message decides nothing.
type decider struct {
	MatchConditions []expression `json:"matchConditions"`
	Variables       []expression `json:"variables"`
	Validations     []expression `json:"validations"`
	Mutations       []struct {
		ApplyConfiguration expression `json:"applyConfiguration"`
		JSONPatch          expression `json:"jsonPatch"`
	} `json:"mutations"`
}

// looksAtAsker reports whether CEL that decides reads who asks, or what that one may
// do: itself or in the variables that it uses.
func (d decider) looksAtAsker() bool {
	decide := append(append([]expression{}, d.MatchConditions...), d.Validations...)
	for _, m := range d.Mutations {
		decide = append(decide, m.ApplyConfiguration, m.JSONPatch)
	}
	variables := map[string]string{}
	for _, v := range d.Variables {
		variables[v.Name] = v.Expression
	}
	for len(decide) > 0 {
		reads := readBy(decide[0].Expression)
		if decide = decide[1:]; reads.asker {
			return true
		}
		for name := range reads.variables {
			if text, unread := variables[name]; unread {
				decide = append(decide, expression{Expression: text})
				delete(variables, name)
			}
		}
	}
	return false
}

// reads are what an expression depends on, as far as that matters here.
type reads struct {
	asker     bool
	variables map[string]bool
}

// celParser leaves macros as the calls that they are written as.
var celParser = sync.OnceValue(func() *parser.Parser {
	p, err := parser.NewParser(parser.EnableOptionalSyntax(true))
	if err != nil { // no option of ours fails
		panic(err)
	}
	return p
})

// readBy finds out what an expression reads. One that does not parse, in a newer CEL
// than this build knows, is searched as text.
func readBy(text string) reads {
	r := reads{variables: map[string]bool{}}
	if !strings.Contains(text, "authorizer") && !strings.Contains(text, "request") && !strings.Contains(text, "variables") {
		return r
	}
	parsed, errs := celParser().Parse(common.NewTextSource(text))
	if len(errs.GetErrors()) > 0 {
		r.asker = strings.Contains(text, "userInfo") || strings.Contains(text, "authorizer")
		return r
	}
	r.visit(ast.NavigateAST(parsed))
	return r
}

func (r *reads) visit(e ast.NavigableExpr) {
	if e.Kind() == ast.IdentKind {
		r.ident(e)
	}
	for _, child := range e.Children() {
		r.visit(child)
	}
}

// ident takes down what is read of a variable of CEL: a field of it, or all.
func (r *reads) ident(e ast.NavigableExpr) {
	field, known := fieldOf(e)
	switch e.AsIdent() {
	case "authorizer":
		r.asker = true
	case "request":
		r.asker = r.asker || !known || field == "userInfo"
	case "variables":
		if known {
			r.variables[field] = true
		} else {
			r.asker = true // any of them
		}
	}
}

// fieldOf returns the field that is read of a variable: v.f, v.?f, v["f"], v[?"f"].
func fieldOf(e ast.NavigableExpr) (field string, known bool) {
	parent, has := e.Parent()
	if !has {
		return "", false
	}
	switch parent.Kind() {
	case ast.SelectKind:
		return parent.AsSelect().FieldName(), true
	case ast.CallKind:
		call := parent.AsCall()
		switch call.FunctionName() {
		case "_[_]", "_[?_]", "_?._":
			if args := call.Args(); len(args) == 2 && args[0].ID() == e.ID() && args[1].Kind() == ast.LiteralKind {
				text, is := args[1].AsLiteral().Value().(string)
				return text, is
			}
		}
	}
	return "", false
}

// askersByName are webhooks that are known to look at who asks in their own code.
var askersByName = map[string]*asker{
	// github.com/dapr/dapr/pkg/injector/service: AllowedControllersServiceAccounts,
	// which are looked up by name and told by UID.
	"sidecar-injector.dapr.io": {
		says: "Dapr injects alone for the accounts of controllers, told by their UIDs, which no impersonation has, and for those in its Helm values " +
			"dapr_sidecar_injector.allowedServiceAccounts and allowedServiceAccountsPrefixNames",
		switchedBy: "dapr.io/enabled", container: "daprd",
	},
}

// asker is such a webhook.
type asker struct {
	says string // what changes that
	// switchedBy is the annotation by which a Pod wants the container.
	switchedBy, container string
}

// truths are what Dapr takes for yes: github.com/dapr/kit/utils.IsTruthy.
var truths = []string{"y", "yes", "true", "t", "on", "1"}

// Ignored reports whether a webhook that is known by name to look at who asks has
// injected nothing where it might have: the Pods of the template want its container, or
// have it, and the fresh one has not. Whoever was asked as, it may answer the Pods'
// controller otherwise. sidecars are those of live and fresh Pods, and loses those that
// the fresh one lacks.
func (s Step) Ignored(template []byte, sidecars, loses []string) bool {
	if s.byName == nil {
		return false
	}
	if slices.Contains(loses, s.byName.container) {
		return true
	}
	if slices.Contains(sidecars, s.byName.container) {
		return false
	}
	var pod struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	if json.Unmarshal(template, &pod) != nil {
		return true
	}
	wanted := strings.ToLower(strings.TrimSpace(pod.Metadata.Annotations[s.byName.switchedBy]))
	return slices.Contains(truths, wanted)
}

// ByName reports whether it is a webhook that is known by name to look at who asks, and
// Ignored tells of it.
func (s Step) ByName() bool { return s.byName != nil }
