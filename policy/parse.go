package policy

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// The bounds of what an entry may ask for.
const (
	MaxRate  = 1_000_000_000       // exchanges of a limit, and its burst
	MaxEvery = 31 * 24 * time.Hour // time that a limit counts over
	MaxBody  = 1 << 30             // bytes of a body that a control may read
)

// SizePattern is a regular expression of all that ParseSize reads, and of some
// that are no whole number of bytes.
const SizePattern = `^[0-9]+(\.[0-9]+)?(B|KiB|MiB|GiB)?$`

// ParseSize reads a number of bytes: "512", "64KiB", "1MiB", "1.5GiB". The
// decimal units KB, MB and GB are refused, since half of their readers take
// them for the binary ones.
func ParseSize(s string) (int64, error) {
	number := strings.TrimRight(s, "BKMGTikmgtb")
	unit := int64(0)
	switch s[len(number):] {
	case "", "B":
		unit = 1
	case "KiB":
		unit = 1 << 10
	case "MiB":
		unit = 1 << 20
	case "GiB":
		unit = 1 << 30
	}
	n, err := strconv.ParseFloat(number, 64)
	if unit == 0 || err != nil || !decimal(number) {
		return 0, fmt.Errorf("%q is not a size; write bytes, or a number with KiB, MiB or GiB", s)
	}
	size := n * float64(unit)
	if size >= math.MaxInt64 || size != math.Trunc(size) {
		return 0, fmt.Errorf("%q is not a whole number of bytes that fits", s)
	}
	return int64(size), nil
}

// decimal reports whether s has digits and at most one point between them.
func decimal(s string) bool {
	whole, part, point := strings.Cut(s, ".")
	return digits(whole) && (!point || digits(part))
}

func digits(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// DurationPattern is a regular expression of all that ParseDuration reads, and
// of some that are too long for it.
const DurationPattern = `^([0-9]{1,5}d|0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$`

var duration = regexp.MustCompile(DurationPattern)

// ParseDuration reads a time span: "250ms", "1m30s", "7d".
func ParseDuration(s string) (time.Duration, error) {
	if n, ok := strings.CutSuffix(s, "d"); ok && digits(n) && len(n) < 6 {
		days, _ := strconv.Atoi(n)
		return time.Duration(days) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || !duration.MatchString(s) {
		hint := ""
		if digits(s) {
			hint = fmt.Sprintf("; add a unit: %ss", s)
		}
		return 0, fmt.Errorf("%q is not a time span such as 250ms, 30s, 15m, 1h or 7d%s", s, hint)
	}
	return d, nil
}

// ParseRate reads a rate: "10/s", "600/m", "1000/d", "100/15m".
func ParseRate(s string) (count int, every time.Duration, err error) {
	fail := func(why string) (int, time.Duration, error) {
		return 0, 0, fmt.Errorf("%q is not a rate%s", s, why)
	}
	n, per, ok := strings.Cut(s, "/")
	n, per = strings.TrimSpace(n), strings.TrimSpace(per)
	if !ok || per == "" {
		return fail(" such as 600/m; give a number, a slash and s, m, h, d or a time span")
	}
	if !digits(n) || len(n) > 10 {
		return fail(": " + strconv.Quote(n) + " is not a whole number")
	}
	count, _ = strconv.Atoi(n)
	if count < 1 || count > MaxRate {
		return fail("; let 1 to 1000000000 exchanges pass")
	}
	if strings.Trim(per, "smhd") == "" && len(per) == 1 {
		per = "1" + per
	}
	every, err = ParseDuration(per)
	if err != nil || every < time.Millisecond || every > MaxEvery {
		return fail(": " + strconv.Quote(per) + " is not s, m, h, d or a time span from 1ms to 31d")
	}
	return count, every, nil
}

// ParseSelector reads what [Selector] shows. Its Pos stays empty.
func ParseSelector(s string) (Selector, error) {
	sel := Selector{Text: s}
	rest := s
	if api, ok := strings.CutPrefix(rest, "api:"); ok {
		sel.API, rest, ok = strings.Cut(api, " ")
		rest = strings.TrimLeft(rest, " ")
		if !ok || sel.API == "" || rest == "" {
			return sel, fmt.Errorf("%q names an API and no operations; to select them all write %q", s, "api:"+sel.API+" *")
		}
	}
	if rest == "*" {
		sel.Kind = All
		return sel, nil
	}
	for prefix, kind := range map[string]SelectorKind{"operation:": Operation, "tag:": Tag} {
		if v, ok := strings.CutPrefix(rest, prefix); ok {
			if v == "" || strings.TrimSpace(v) != v {
				return sel, fmt.Errorf("%q names nothing after %q", s, prefix)
			}
			sel.Kind, sel.Value = kind, v
			return sel, nil
		}
	}
	method, path, ok := strings.Cut(rest, " ")
	path = strings.TrimLeft(path, " ")
	if !ok || !strings.HasPrefix(path, "/") {
		if strings.HasPrefix(rest, "/") {
			return sel, fmt.Errorf("%q has no method; write %q, or %q for every method", s, "GET "+rest, "* "+rest)
		}
		return sel, fmt.Errorf("%q selects nothing; write *, a method and a path such as \"GET /orders/{id}\", operation:ID or tag:NAME", s)
	}
	if method != "*" && (!token(method) || strings.ToUpper(method) != method) {
		return sel, fmt.Errorf("%q is not a method; write it in capitals, or * for every method", method)
	}
	if strings.ContainsAny(path, "?#") {
		return sel, fmt.Errorf("%q has a query; operations are selected by their path alone", s)
	}
	sel.Kind, sel.Method, sel.Value = Route, method, path
	return sel, nil
}

// token reports whether s is a token of RFC 9110 section 5.6.2.
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// name reports whether s is fit for a name that headers, metrics and file
// names carry: 1 to 64 of a–z, A–Z, 0–9, "-", "_" and ".".
func name(s string) bool {
	for _, c := range s {
		if !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// pointer checks a JSON Pointer (RFC 6901) that leads somewhere.
func pointer(s string) error {
	if !strings.HasPrefix(s, "/") {
		return fmt.Errorf("%q is not a JSON Pointer; it begins with a slash: %q", s, "/"+s)
	}
	for i := range len(s) {
		if s[i] == '~' && (i+1 == len(s) || s[i+1] != '0' && s[i+1] != '1') {
			return fmt.Errorf("%q is not a JSON Pointer; a ~ in a name is written ~0, a slash ~1", s)
		}
	}
	return nil
}

// ParseKey reads one part of what a limit counts by.
func ParseKey(s string) (Key, error) {
	switch s {
	case "address":
		return Key{Kind: KeyAddress}, nil
	case "principal", "principal.subject":
		return Key{Kind: KeyPrincipal}, nil
	case "principal.tenant":
		return Key{Kind: KeyTenant}, nil
	case "principal.client":
		return Key{Kind: KeyClient}, nil
	case "operation":
		return Key{Kind: KeyOperation}, nil
	}
	p, err := ParsePlace(s)
	if err == nil && p.In == InResponse {
		err = fmt.Errorf("%q is not known before the answer; a limit counts requests", s)
	}
	if errors.Is(err, errNoPlace) {
		err = fmt.Errorf("%q is nothing that a limit can count by; it can by address, principal, principal.tenant, "+
			"principal.client, operation, header:NAME, path:NAME, query:NAME and request:/POINTER", s)
	}
	if err != nil {
		return Key{}, err
	}
	switch p.In {
	case InHeader:
		return Key{Kind: KeyHeader, Name: p.Name}, nil
	case InRequest:
		if strings.Contains(p.Pointer+"/", "/*/") {
			return Key{}, fmt.Errorf("%q leads to many values; a limit counts by one", s)
		}
		return Key{Kind: KeyRequest, Pointer: p.Pointer}, nil
	}
	return Key{Kind: KeyParameter, In: p.In, Name: p.Name}, nil
}

var errNoPlace = errors.New("no place")

// ParsePlace reads where a value stands: "path:id", "query:account",
// "header:X-Account", "request:/owner" or "response:/items/*/owner".
func ParsePlace(s string) (Place, error) {
	p := Place{Text: s}
	in, rest, ok := strings.Cut(s, ":")
	switch in {
	case "path":
		p.In = InPath
	case "query":
		p.In = InQuery
	case "header":
		p.In = InHeader
	case "request":
		p.In = InRequest
	case "response":
		p.In = InResponse
	default:
		ok = false
	}
	if !ok {
		return p, fmt.Errorf("%q is %w in an exchange; write path:NAME, query:NAME, header:NAME, request:/POINTER or response:/POINTER", s, errNoPlace)
	}
	switch p.In {
	case InRequest, InResponse:
		p.Pointer = rest
		return p, pointer(rest)
	case InHeader:
		if !token(rest) {
			return p, fmt.Errorf("%q is not the name of a header", rest)
		}
		p.Name = strings.ToLower(rest)
		return p, nil
	}
	if rest == "" || strings.TrimSpace(rest) != rest {
		return p, fmt.Errorf("%q names no parameter", s)
	}
	p.Name = rest
	return p, nil
}

// ParseWhom reads whom an owner must be: "principal.subject",
// "principal.tenant", "principal.client" or "principal.claims/org/id".
func ParseWhom(s string) (Whom, error) {
	w := Whom{Text: s}
	switch s {
	case "principal.subject":
		w.Kind = WhomSubject
	case "principal.tenant":
		w.Kind = WhomTenant
	case "principal.client":
		w.Kind = WhomClient
	default:
		claim, ok := strings.CutPrefix(s, "principal.claims")
		if !ok {
			return w, fmt.Errorf("%q owns nothing; write principal.subject, principal.tenant, principal.client or principal.claims/POINTER", s)
		}
		w.Kind, w.Claim = WhomClaim, claim
		return w, pointer(claim)
	}
	return w, nil
}

// ParseCondition reads the part of CEL that [Condition] shows. Its Pos stays
// empty.
func ParseCondition(s string) (*Condition, error) {
	p := conditionParser{rest: s}
	c := &Condition{Text: s}
	if !p.expr(c, 0) || p.space() != "" {
		what := "it ends too early"
		if p.rest != "" {
			what = "from " + clip(p.rest) + " on it is not supported yet"
		}
		return nil, fmt.Errorf(`cannot read the condition: %s; supported are "x" in principal.scopes, "x" in principal.roles, and || between them`, what)
	}
	return c, nil
}

// clip shortens what a message quotes, and keeps it on one line.
func clip(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

type conditionParser struct{ rest string }

func (p *conditionParser) space() string {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	return p.rest
}

func (p *conditionParser) take(s string) bool {
	rest, ok := strings.CutPrefix(p.space(), s)
	if ok {
		p.rest = rest
	}
	return ok
}

func (p *conditionParser) expr(c *Condition, depth int) bool {
	for {
		if !p.term(c, depth) {
			return false
		}
		if !p.take("||") {
			return true
		}
	}
}

func (p *conditionParser) term(c *Condition, depth int) bool {
	const deep, many = 20, 100
	if len(c.Any) == many {
		return false
	}
	if depth < deep && p.take("(") {
		return p.expr(c, depth+1) && p.take(")")
	}
	start := p.space()
	if start == "" || start[0] != '"' && start[0] != '\'' {
		return false
	}
	value, rest, ok := strings.Cut(start[1:], start[:1])
	if !ok || value == "" || strings.ContainsAny(value, "\\\n") {
		return false
	}
	p.rest = rest
	in := p.take("in")
	after := p.rest
	if !in || p.space() == after || !p.take("principal.") {
		p.rest = start
		return false
	}
	role := p.take("roles")
	if !role && !p.take("scopes") {
		return false
	}
	if p.rest != "" && !strings.ContainsAny(p.rest[:1], " \t\r\n|)") {
		return false
	}
	c.Any = append(c.Any, Membership{Role: role, Value: value})
	return true
}

// origin checks an origin as browsers send it (RFC 6454 section 6.2), or "*".
func origin(s string) error {
	if s == "*" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != s || strings.ToLower(s) != s ||
		u.Hostname() == "" || strings.Contains(s, "*") {
		why := ""
		if s == "null" {
			why = "; any page can have the origin null, so it cannot be trusted"
		}
		return fmt.Errorf("%q is not an origin such as https://app.example or http://localhost:3000, in lower case and without a path%s", s, why)
	}
	return nil
}

// Nearest returns the one of known that s is most likely a slip of, or "".
func Nearest(s string, known []string) string {
	best, distance := "", len(s)/3+2
	for _, k := range known {
		if d := edits(strings.ToLower(s), k, distance); d < distance {
			best, distance = k, d
		}
	}
	return best
}

// edits counts the letters to add, drop, change or swap with the next to make
// a into b. It stops counting at limit.
func edits(a, b string, limit int) int {
	if len(a) > 64 || len(b) > 64 || max(len(a)-len(b), len(b)-len(a)) >= limit {
		return limit
	}
	var rows [3][65]int
	for j := range len(b) + 1 {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		row, up, upup := &rows[i%3], &rows[(i+2)%3], &rows[(i+1)%3]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := up[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(up[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], upup[j-2]+1)
			}
		}
	}
	return min(rows[len(a)%3][len(b)], limit)
}
