package openapi

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/document"
)

// security is what an operation asks of its callers.
type security struct {
	requirements []contract.Requirement
	declared     bool
	trouble      *trouble // it cannot be proven as written
}

// security reads the member "security" of the root or of an operation.
// Alternatives that nobody can meet are left out; where none remains, the
// operation cannot be guarded.
func (l *loader) security(n document.Node) security {
	list := n.Get("security")
	if !list.Valid() {
		return security{}
	}
	if !list.IsArray() {
		t := &trouble{list.Pos(), `"security" is ` + article(list.Kind()) + ", not an array", "write a list of requirements; an empty list opens the operation to everyone"}
		l.unenforced(t.pos, t.msg, t.hint)
		return security{trouble: t}
	}
	sec := security{declared: true}
	var last *trouble
	for _, r := range list.Elements() {
		req, t := l.requirement(r)
		if t != nil {
			last = t
			l.unenforced(t.pos, t.msg, t.hint)
			continue
		}
		sec.requirements = append(sec.requirements, req)
	}
	if last != nil && len(sec.requirements) == 0 {
		sec.trouble = last
	}
	return sec
}

func (l *loader) requirement(n document.Node) (contract.Requirement, *trouble) {
	if !n.IsObject() {
		return nil, &trouble{n.Pos(), "the security requirement is " + article(n.Kind()) + ", not an object", "write {name: []}"}
	}
	req := contract.Requirement{}
	for name, scopes := range n.Members() {
		s := l.api.Schemes[name]
		if s == nil {
			s = l.schemeByURI(name, n.Document())
		}
		if s == nil {
			hint := "declare it under components/securitySchemes"
			if l.v == v20 {
				hint = "declare it under securityDefinitions"
			}
			return nil, &trouble{scopes.KeyPos(), fmt.Sprintf("security scheme %s is not declared", quote(name)), hint}
		}
		d := contract.Demand{Scheme: name, Pos: scopes.KeyPos()}
		if !scopes.IsArray() {
			l.warn(scopes.Pos(), fmt.Sprintf("the scopes of %s are %s, not an array; none are asked for", quote(name), article(scopes.Kind())), "write []")
		}
		for _, v := range scopes.Elements() {
			if !v.IsString() {
				return nil, &trouble{v.Pos(), "a scope is " + article(v.Kind()) + ", not a string", ""}
			}
			d.Scopes = append(d.Scopes, v.Text())
			if len(s.Scopes) > 0 && !slices.Contains(s.Scopes, v.Text()) {
				l.warn(v.Pos(), fmt.Sprintf("scope %s is not among those that %s declares; it is asked for all the same", quote(v.Text()), quote(name)), "")
			}
		}
		req = append(req, d)
	}
	return req, nil
}

// schemeByURI finds a scheme that is named by a reference (OpenAPI 3.2), or
// that stands in the operation's own file instead of the root.
func (l *loader) schemeByURI(name string, doc *document.Document) *contract.Scheme {
	var n document.Node
	if l.v >= v32 && strings.ContainsAny(name, "#/") {
		n, _, _ = l.lookUp(doc, name)
	} else if doc != l.root {
		n = doc.Root().Get("components").Get("securitySchemes").Get(name)
	}
	if !n.Valid() {
		return nil
	}
	l.scheme(name, n)
	return l.api.Schemes[name]
}

// schemes compiles the declared security schemes.
func (l *loader) schemes(n document.Node) {
	for name, v := range n.Members() {
		if !strings.HasPrefix(name, "x-") {
			l.scheme(name, v)
		}
	}
}

// httpSchemes are the schemes of HTTP authentication that can be proven here.
var httpSchemes = []string{"bearer", "basic", "dpop"}

func (l *loader) scheme(name string, n document.Node) {
	at := n
	n, t := l.resolve(n, scheme)
	if t != nil {
		l.unenforced(t.pos, t.msg, t.hint)
		return
	}
	s := &contract.Scheme{Name: name, Type: n.Get("type").Str(), Pos: at.KeyPos()}
	what := fmt.Sprintf("security scheme %s", quote(name))
	switch s.Type {
	case "apiKey":
		s.In, s.Key = n.Get("in").Str(), n.Get("name").Text()
		if s.In != "query" && s.In != "header" && s.In != "cookie" || s.Key == "" {
			l.unenforced(at.KeyPos(), what+" does not say where the key stands", `give "in" (query, header or cookie) and "name"`)
			return
		}
	case "http":
		s.HTTP = strings.ToLower(n.Get("scheme").Str())
		if !slices.Contains(httpSchemes, s.HTTP) {
			l.unenforced(at.KeyPos(), fmt.Sprintf("%s: HTTP authentication by %s cannot be proven", what, quote(s.HTTP)), "bearer and basic can")
		}
	case "oauth2":
		for flow, v := range n.Get("flows").Members() {
			if strings.HasPrefix(flow, "x-") {
				continue
			}
			for scope := range v.Get("scopes").Members() {
				if !slices.Contains(s.Scopes, scope) {
					s.Scopes = append(s.Scopes, scope)
				}
			}
		}
	case "openIdConnect":
		s.OIDC = n.Get("openIdConnectUrl").Str()
		if u, err := url.Parse(s.OIDC); err != nil || u.Host == "" {
			l.warn(at.KeyPos(), what+" has no discovery URL", `give "openIdConnectUrl"`)
		}
	case "mutualTLS":
	default:
		l.unenforced(at.KeyPos(), fmt.Sprintf("%s has the type %s, which is not known", what, quote(n.Get("type").Text())), "there are apiKey, http, oauth2, openIdConnect and mutualTLS")
		return
	}
	l.api.Schemes[name] = s
}
