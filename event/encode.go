package event

import (
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/exchange"
)

// The bounds of one encoded event, in bytes before escaping. What is longer is
// cut at a whole character and ends in "…".
const (
	maxName  = 128  // method, api, mode, issuer, how, control, request id
	maxText  = 256  // host, operation, template, subject, client, tenant, entry, at
	maxPath  = 1024 // path
	maxHits  = 16   // hits; the rest is counted in hits_more
	maxPlain = 96   // plan
)

// AppendJSON appends the event to b as one JSON object without a line break,
// and returns the longer slice. The names are those of docs/events.md.
//
// Whatever bytes a caller chose, the result is valid JSON in printable
// characters: control characters, line separators, invisible and
// direction-changing characters and the signs < > & are escaped, bytes that
// are no UTF-8 become U+FFFD, and every string is bounded. So an event forges
// no line, moves no cursor and opens no tag where it is shown.
func (e *Event) AppendJSON(b []byte) []byte {
	b = append(b, `{"v":1,"event":"exchange","time":"`...)
	b = e.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = append(b, `","request_id":`...)
	b = appendString(b, e.RequestID, maxName)
	b = member(b, `,"plan":`, e.Plan, maxPlain)
	b = member(b, `,"api":`, e.API, maxName)
	b = member(b, `,"operation":`, e.Operation, maxText)
	b = append(b, `,"method":`...)
	b = appendString(b, e.Method, maxName)
	b = member(b, `,"template":`, e.Template, maxText)
	b = member(b, `,"path":`, e.Path, maxPath)
	b = member(b, `,"host":`, e.Host, maxText)
	b = append(b, `,"proto":"`...)
	b = append(b, e.Proto.String()...)
	b = append(b, '"')
	if e.Remote.IsValid() {
		b = append(b, `,"remote":"`...)
		b = e.Remote.WithZone("").AppendTo(b)
		b = append(b, '"')
	}
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(e.Status), 10)
	if e.UpstreamStatus != 0 {
		b = number(b, `,"upstream_status":`, int64(e.UpstreamStatus))
	}
	if e.Ours {
		b = append(b, `,"ours":true`...)
	}
	if e.Action == exchange.Allow {
		b = append(b, `,"action":"allow","reason":"`...)
	} else {
		b = append(b, `,"action":"deny","reason":"`...)
	}
	b = append(b, e.Reason.Code()...)
	b = append(b, '"')
	b = member(b, `,"mode":`, e.Mode, maxName)
	b = appendHits(b, e.Hits)
	b = number(b, `,"bytes_in":`, e.BytesIn)
	b = number(b, `,"bytes_out":`, e.BytesOut)
	b = number(b, `,"duration_us":`, e.Duration.Microseconds())
	if e.Upstream != 0 {
		b = number(b, `,"upstream_us":`, e.Upstream.Microseconds())
	}
	b = member(b, `,"subject":`, e.Subject, maxText)
	b = member(b, `,"client":`, e.Client, maxText)
	b = member(b, `,"tenant":`, e.Tenant, maxText)
	b = member(b, `,"issuer":`, e.Issuer, maxName)
	b = member(b, `,"how":`, e.How, maxName)
	if e.Stripped != 0 {
		b = number(b, `,"stripped":`, int64(e.Stripped))
	}
	if e.Redacted != 0 {
		b = number(b, `,"redacted":`, int64(e.Redacted))
	}
	return append(b, '}')
}

func appendHits(b []byte, hits []Hit) []byte {
	if len(hits) == 0 {
		return b
	}
	more := max(0, len(hits)-maxHits)
	b = append(b, `,"hits":[`...)
	for i := range hits[:len(hits)-more] {
		h := &hits[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"control":`...)
		b = appendString(b, h.Control, maxName)
		b = append(b, `,"reason":"`...)
		b = append(b, h.Reason.Code()...)
		b = append(b, '"')
		if h.Observed {
			b = append(b, `,"observed":true`...)
		}
		b = member(b, `,"entry":`, h.Entry, maxText)
		b = member(b, `,"at":`, h.At, maxText)
		b = append(b, '}')
	}
	b = append(b, ']')
	if more > 0 {
		b = number(b, `,"hits_more":`, int64(more))
	}
	return b
}

func number(b []byte, name string, n int64) []byte {
	return strconv.AppendInt(append(b, name...), n, 10)
}

// member appends a string member, unless it is empty.
func member[S string | []byte](b []byte, name string, s S, limit int) []byte {
	if len(s) == 0 {
		return b
	}
	return appendString(append(b, name...), s, limit)
}

// appendString appends s as a JSON string, cut to limit bytes.
func appendString[S string | []byte](b []byte, s S, limit int) []byte {
	cut := len(s) > limit
	if cut {
		s = s[:limit]
	}
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, `\n`...)
			case '\r':
				b = append(b, `\r`...)
			case '\t':
				b = append(b, `\t`...)
			default:
				b = appendEscape(b, rune(c))
			}
			i++
			start = i
			continue
		}
		rest := s[i:min(i+utf8.UTFMax, len(s))]
		r, size := utf8.DecodeRuneInString(string(rest))
		if r == utf8.RuneError && size == 1 {
			b = append(b, s[start:i]...)
			i++
			start = i
			if cut && !utf8.FullRuneInString(string(rest)) {
				// The cut went through this character: leave it out whole.
				start = len(s)
				break
			}
			b = append(b, `\ufffd`...)
			continue
		}
		if invisible(r) {
			b = append(b, s[start:i]...)
			b = appendEscape(b, r)
			start = i + size
		}
		i += size
	}
	b = append(b, s[start:]...)
	if cut {
		b = append(b, "…"...)
	}
	return append(b, '"')
}

// plain marks the bytes that stand for themselves in an event.
var plain = func() (t [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		t[c] = true
	}
	for _, c := range `"\<>&` {
		t[c] = false
	}
	return t
}()

// invisible reports whether r is shown as nothing, breaks a line or changes
// the direction of what follows.
func invisible(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

func appendEscape(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	if r > 0xffff {
		r -= 0x10000
		b = appendEscape(b, 0xd800+r>>10)
		r = 0xdc00 + r&0x3ff
	}
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
