package jsonschema

import (
	"math"
	"net/netip"
	"strconv"
	"unicode/utf8"
)

// A format checks strings or numbers by name.
type format struct {
	text   func(s []byte) bool
	number func(s []byte, plain bool, v int64) bool
}

// formats are those that are checked where Options.AssertFormat is set.
var formats = map[string]*format{
	"date-time":             {text: isDateTime},
	"date":                  {text: isDate},
	"time":                  {text: isTime},
	"duration":              {text: isDuration},
	"email":                 {text: isEmail},
	"idn-email":             {text: isIDNEmail},
	"hostname":              {text: isInternetName},
	"ipv4":                  {text: isIPv4},
	"ipv6":                  {text: isIPv6},
	"uri":                   {text: isURI},
	"uri-reference":         {text: isURIReference},
	"uuid":                  {text: isUUID},
	"json-pointer":          {text: isPointer},
	"relative-json-pointer": {text: isRelativePointer},
	"regex":                 {text: isRegex},
	"iri":                   {text: isIRI},
	"iri-reference":         {text: isIRIReference},
	"uri-template":          {text: isURITemplate},
	"byte":                  {text: isBase64},
	"binary":                {text: func([]byte) bool { return true }},
	"password":              {text: func([]byte) bool { return true }},
	"int32": {number: func(_ []byte, plain bool, v int64) bool {
		return plain && v >= math.MinInt32 && v <= math.MaxInt32
	}},
	"int64":  {number: isInt64},
	"float":  {number: func(s []byte, plain bool, v int64) bool { return plain || fits(s, 32) }},
	"double": {number: func(s []byte, plain bool, v int64) bool { return plain || fits(s, 64) }},
}

// oldHostname is what hostname means before 2019-09: RFC 1123 alone.
var oldHostname = &format{text: isHostname}

func isInt64(s []byte, plain bool, v int64) bool {
	if plain {
		return true
	}
	d := parseDecimal(s)
	if d.exp < d.digits() || d.exp > 19 {
		return d.digits() == 0
	}
	lo, hi := parseDecimal([]byte("-9223372036854775808")), parseDecimal([]byte("9223372036854775807"))
	return d.compare(&lo) >= 0 && d.compare(&hi) <= 0
}

func fits(s []byte, bits int) bool {
	_, err := strconv.ParseFloat(string(s), bits)
	return err == nil
}

func isIPv4(s []byte) bool {
	parts, digits, v := 1, 0, 0
	for _, c := range s {
		switch {
		case c == '.':
			if digits == 0 {
				return false
			}
			parts++
			digits, v = 0, 0
		case c-'0' <= 9:
			if digits > 0 && v == 0 {
				return false
			}
			digits++
			if v = v*10 + int(c-'0'); v > 255 {
				return false
			}
		default:
			return false
		}
	}
	return parts == 4 && digits > 0
}

func isIPv6(s []byte) bool {
	if len(s) > 45 {
		return false
	}
	for _, c := range s {
		if c == '%' {
			return false
		}
	}
	a, err := netip.ParseAddr(string(s))
	return err == nil && !a.Is4()
}

func number(s []byte) (v int, ok bool) {
	for _, c := range s {
		if c-'0' > 9 {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	return v, len(s) > 0
}

var daysIn = [...]int{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// isDate checks full-date of RFC 3339.
func isDate(s []byte) bool {
	if len(s) != 10 || s[4] != '-' || s[7] != '-' {
		return false
	}
	y, ok1 := number(s[:4])
	m, ok2 := number(s[5:7])
	d, ok3 := number(s[8:])
	if !ok1 || !ok2 || !ok3 || m < 1 || m > 12 || d < 1 || d > daysIn[m-1] {
		return false
	}
	return m != 2 || d < 29 || y%4 == 0 && (y%100 != 0 || y%400 == 0)
}

// isTime checks full-time of RFC 3339. A leap second is one where it is
// 23:59:60 in UTC.
func isTime(s []byte) bool {
	if len(s) < 9 || s[2] != ':' || s[5] != ':' {
		return false
	}
	h, ok1 := number(s[:2])
	m, ok2 := number(s[3:5])
	sec, ok3 := number(s[6:8])
	if !ok1 || !ok2 || !ok3 || h > 23 || m > 59 || sec > 60 {
		return false
	}
	s = s[8:]
	if s[0] == '.' {
		i := 1
		for i < len(s) && s[i]-'0' <= 9 {
			i++
		}
		if i == 1 {
			return false
		}
		s = s[i:]
	}
	off := 0
	switch {
	case len(s) == 1 && s[0]|0x20 == 'z':
	case len(s) == 6 && (s[0] == '+' || s[0] == '-') && s[3] == ':':
		oh, ok1 := number(s[1:3])
		om, ok2 := number(s[4:])
		if !ok1 || !ok2 || oh > 23 || om > 59 {
			return false
		}
		if off = oh*60 + om; s[0] == '-' {
			off = -off
		}
	default:
		return false
	}
	return sec < 60 || (h*60+m-off+2*1440)%1440 == 1439
}

func isDateTime(s []byte) bool {
	return len(s) > 11 && s[10]|0x20 == 't' && isDate(s[:10]) && isTime(s[11:])
}

// isDuration checks the durations of RFC 3339, appendix A.
func isDuration(s []byte) bool {
	if len(s) < 3 || s[0] != 'P' {
		return false
	}
	s = s[1:]
	// units reads numbers followed by units in their order, without a gap.
	units := func(s []byte, order string) (rest []byte, n int, ok bool) {
		last := -1
		for len(s) > 0 && s[0] != 'T' {
			i := 0
			for i < len(s) && s[i]-'0' <= 9 {
				i++
			}
			if i == 0 || i == len(s) {
				return nil, 0, false
			}
			at := -1
			for k := range len(order) {
				if order[k] == s[i] {
					at = k
				}
			}
			if at < 0 || last >= 0 && at != last+1 {
				return nil, 0, false
			}
			last = at
			s = s[i+1:]
			n++
		}
		return s, n, true
	}
	if s[len(s)-1] == 'W' {
		_, ok := number(s[:len(s)-1])
		return ok
	}
	rest, n, ok := units(s, "YMD")
	if !ok {
		return false
	}
	if len(rest) == 0 {
		return n > 0
	}
	rest, n, ok = units(rest[1:], "HMS")
	return ok && n > 0 && len(rest) == 0
}

// isEmail checks Mailbox of RFC 5321, section 4.1.2, without comments.
func isEmail(s []byte) bool { return isMailbox(s, false) }

// isIDNEmail is isEmail with the additions of RFC 6531.
func isIDNEmail(s []byte) bool { return isMailbox(s, true) }

func isMailbox(s []byte, idn bool) bool {
	at := -1
	for i, c := range s {
		if c == '@' {
			at = i
		}
	}
	if at < 1 || at > 64 || len(s) > 254+64 {
		return false
	}
	local, domain := s[:at], s[at+1:]
	if local[0] == '"' {
		if len(local) < 3 || local[len(local)-1] != '"' {
			return false
		}
		for i := 1; i < len(local)-1; i++ {
			c := local[i]
			if c == '\\' {
				if i++; i >= len(local)-1 {
					return false
				}
				continue
			}
			if c < ' ' || c == 0x7f || c > '~' && !idn || c == '"' {
				return false
			}
		}
	} else {
		dot := true
		for _, c := range local {
			if c == '.' {
				if dot {
					return false
				}
				dot = true
				continue
			}
			dot = false
			if !atext(c) && !(idn && c >= 0x80) {
				return false
			}
		}
		if dot {
			return false
		}
	}
	if len(domain) > 2 && domain[0] == '[' && domain[len(domain)-1] == ']' {
		in := domain[1 : len(domain)-1]
		if len(in) > 5 && string(in[:5]) == "IPv6:" {
			return isIPv6(in[5:])
		}
		return isIPv4(in)
	}
	if idn {
		for len(domain) > 0 {
			if domain[0] >= 0x80 {
				// What letters a name may have is for the resolver to say.
				return domain[len(domain)-1] != '.'
			}
			domain = domain[1:]
		}
		domain = s[at+1:]
	}
	return isHostname(domain)
}

func atext(c byte) bool {
	if c|0x20 >= 'a' && c|0x20 <= 'z' || c-'0' <= 9 {
		return true
	}
	switch c {
	case '!', '#', '$', '%', '&', '\'', '*', '+', '-', '/', '=', '?', '^', '_', '`', '{', '|', '}', '~':
		return true
	}
	return false
}

// isHostname checks a name of RFC 1123, section 2.1.
func isHostname(s []byte) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	n := 0
	for i, c := range s {
		switch {
		case c == '.':
			if n == 0 || s[i-1] == '-' {
				return false
			}
			n = 0
			continue
		case c == '-':
			if n == 0 {
				return false
			}
		case c|0x20 >= 'a' && c|0x20 <= 'z' || c-'0' <= 9:
		default:
			return false
		}
		if n++; n > 63 {
			return false
		}
	}
	return n > 0 && s[len(s)-1] != '-'
}

// isInternetName is isHostname by the rules of RFC 5890, section 2.3.1: "--" in
// third and fourth place is for encoded labels only.
func isInternetName(s []byte) bool {
	from := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			continue
		}
		if l := s[from:i]; len(l) >= 4 && l[2] == '-' && l[3] == '-' && !(l[0]|0x20 == 'x' && l[1]|0x20 == 'n' && len(l) > 4) {
			return false
		}
		from = i + 1
	}
	return isHostname(s)
}

func isUUID(s []byte) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range s {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if c-'0' > 9 && (c|0x20 < 'a' || c|0x20 > 'f') {
				return false
			}
		}
	}
	return true
}

func isPointer(s []byte) bool {
	if len(s) == 0 {
		return true
	}
	if s[0] != '/' {
		return false
	}
	for i, c := range s {
		if c == '~' && (i+1 == len(s) || s[i+1] != '0' && s[i+1] != '1') {
			return false
		}
	}
	return utf8.Valid(s)
}

func isRelativePointer(s []byte) bool {
	i := 0
	for i < len(s) && s[i]-'0' <= 9 {
		i++
	}
	if i == 0 || i > 1 && s[0] == '0' {
		return false
	}
	return string(s[i:]) == "#" || isPointer(s[i:])
}

// isBase64 checks the base64 of RFC 4648, section 4, with padding.
func isBase64(s []byte) bool {
	if len(s)%4 != 0 {
		return false
	}
	n := len(s)
	for k := 0; k < 2 && n > 0 && s[n-1] == '='; k++ {
		n--
	}
	for _, c := range s[:n] {
		if c-'0' > 9 && (c|0x20 < 'a' || c|0x20 > 'z') && c != '+' && c != '/' {
			return false
		}
	}
	return true
}
