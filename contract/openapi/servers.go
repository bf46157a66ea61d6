package openapi

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/document"
)

// maxServers bounds how many URLs the variables of one server make.
const maxServers = 64

// servers compiles a list of Server Objects.
func (l *loader) servers(n document.Node) []contract.Server {
	if !n.Valid() || n.IsNull() {
		return nil
	}
	if !n.IsArray() {
		l.warn(n.Pos(), `"servers" is `+article(n.Kind())+", not an array", "")
		return nil
	}
	var out []contract.Server
	for _, v := range n.Elements() {
		u := v.Get("url")
		if !u.IsString() {
			l.warn(v.Pos(), "the server has no URL; it is left out", "")
			continue
		}
		for _, s := range l.server(v, u) {
			if !slices.ContainsFunc(out, func(o contract.Server) bool { return o.Host == s.Host && o.BasePath == s.BasePath }) {
				out = append(out, s)
			}
		}
	}
	return out
}

// server expands the variables of one server.
func (l *loader) server(n, u document.Node) []contract.Server {
	urls := []string{""}
	anyHost := false
	rest := u.Text()
	slash := authorityEnd(rest)
	for offset := 0; rest != ""; {
		open := strings.IndexByte(rest, '{')
		end := strings.IndexByte(rest, '}')
		if open < 0 || end < open {
			for i := range urls {
				urls[i] += rest
			}
			break
		}
		name := rest[open+1 : end]
		v := n.Get("variables").Get(name)
		values := []string{v.Get("default").Text()}
		inHost := offset+open < slash
		switch {
		case v.Get("enum").Len() > 0:
			values = values[:0]
			for _, e := range v.Get("enum").Elements() {
				values = append(values, e.Text())
			}
		case inHost:
			// Without an enum a variable may be anything.
			anyHost = anyHost || !strings.HasPrefix(rest[end+1:], "://")
			if values[0] == "" {
				values[0] = "any"
			}
		case !v.Get("default").Valid():
			l.warn(u.Pos(), fmt.Sprintf("the variable %s of the server has no default; the server is left out", quote(name)), "declare it under variables")
			return nil
		default:
			l.warn(u.Pos(), fmt.Sprintf("the variable %s of the server has no enum; only its default %s is served", quote(name), quote(values[0])), "list the values under enum")
		}
		if len(urls)*len(values) > maxServers {
			l.warn(u.Pos(), fmt.Sprintf("the variables of the server make more than %d URLs; of %s only the first value is served", maxServers, quote(name)), "")
			values = values[:1]
		}
		var next []string
		for _, head := range urls {
			for _, value := range values {
				next = append(next, head+rest[:open]+value)
			}
		}
		urls = next
		offset += end + 1
		rest = rest[end+1:]
	}
	var out []contract.Server
	for _, text := range urls {
		if anyHost && !strings.Contains(text, "//") {
			text = "//" + text
		}
		s, ok := l.serverURL(text, u)
		if !ok {
			continue
		}
		if anyHost {
			s.Host = ""
		}
		out = append(out, s)
	}
	return out
}

// authorityEnd returns where the host of a URL ends.
func authorityEnd(s string) int {
	begin := 0
	if i := strings.Index(s, "//"); i >= 0 {
		begin = i + 2
	} else if !strings.HasPrefix(s, "{") {
		return 0 // relative: there is no host
	}
	if i := strings.IndexByte(s[begin:], '/'); i >= 0 {
		return begin + i
	}
	return len(s)
}

func (l *loader) serverURL(text string, at document.Node) (contract.Server, bool) {
	s := contract.Server{Pos: at.Pos()}
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || strings.ContainsAny(u.Path, " ,{}") {
		l.warn(at.Pos(), fmt.Sprintf("the server %s is not a URL; it is left out", quote(text)), `it is written like "https://api.example.com/v1"`)
		return s, false
	}
	if u.Host == "" && u.Path != "" && u.Path[0] != '/' {
		l.warn(at.Pos(), fmt.Sprintf("the server %s is relative to where the contract is served; it is read as %s", quote(text), quote("/"+strings.TrimLeft(u.Path, "./"))), "")
		u.Path, u.RawPath = "/"+strings.TrimLeft(u.Path, "./"), ""
	}
	if u.RawQuery != "" || u.Fragment != "" {
		l.warn(at.Pos(), fmt.Sprintf("the server %s has a query or fragment, which is not used", quote(text)), "")
	}
	s.Host = strings.ToLower(u.Hostname())
	s.BasePath = strings.TrimRight(u.EscapedPath(), "/")
	return s, true
}
