// Package limit says how much a caller may do: so many requests in a time, and
// so many at once.
//
// A [Spec] is compiled once into a [Limit]. For each exchange the caller lists
// what it has to pay as [Charge] values (a limit and the key it counts under)
// and gives them to a [Counter], which charges all of them or none. [Memory]
// is the counter of one process; others share their counts between processes.
// [Gate] bounds what is under way at once.
//
// Rates follow the generic cell rate algorithm (ITU-T I.371): a key may have
// Burst requests at once and regains them evenly. There are no windows, so
// there is no edge of a window at which twice the rate passes.
//
// The package never reads a request. Who the caller is, and by what it is
// counted, is for the caller to say; [AppendAddr] and [AppendPart] build keys
// that cannot be confused with one another.
package limit

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"
)

// A Rate is N requests in a time.
type Rate struct {
	N   int64
	Per time.Duration
}

// ParseRate reads a rate as policies write it: a number, a slash, and a time
// that is a unit (s, m, h or d) or a number of them: "600/m", "10/s", "5/10s".
func ParseRate(s string) (Rate, error) {
	fault := func(why string) (Rate, error) {
		return Rate{}, fmt.Errorf("rate %q: %s; write it like 600/m, 10/s or 5/10s", s, why)
	}
	num, per, ok := strings.Cut(s, "/")
	if !ok {
		return fault("no time")
	}
	n, ok := parseCount(num)
	if !ok {
		return fault("the number must be 1 to 1000000000")
	}
	if per == "" {
		return fault("no time")
	}
	var unit time.Duration
	switch per[len(per)-1] {
	case 's':
		unit = time.Second
	case 'm':
		unit = time.Minute
	case 'h':
		unit = time.Hour
	case 'd':
		unit = 24 * time.Hour
	default:
		return fault("the unit must be s, m, h or d")
	}
	times := int64(1)
	if per = per[:len(per)-1]; per != "" {
		if times, ok = parseCount(per); !ok || times > int64(maxPer/unit) {
			return fault("the time must be 1s to 31d")
		}
	}
	return Rate{n, time.Duration(times) * unit}, nil
}

// maxPer bounds the time of a rate, maxCount its number and bursts: their
// product in nanoseconds fits 63 bits with room for a clock.
const (
	maxPer   = 31 * 24 * time.Hour
	maxCount = 1_000_000_000
	maxFill  = 366 * 24 * time.Hour
)

func parseCount(s string) (int64, bool) {
	if s == "" || s[0] == '0' || len(s) > 10 {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		if s[i]-'0' > 9 {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n <= maxCount
}

// String writes the rate as [ParseRate] reads it.
func (r Rate) String() string {
	for _, u := range [...]struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if r.Per > 0 && r.Per%u.unit == 0 {
			if r.Per == u.unit {
				return fmt.Sprintf("%d/%s", r.N, u.name)
			}
			return fmt.Sprintf("%d/%d%s", r.N, r.Per/u.unit, u.name)
		}
	}
	return fmt.Sprintf("%d/%s", r.N, r.Per)
}

// A Spec says what a limit is. Name and Rate are required.
type Spec struct {
	// Name is what callers see in RateLimit fields: 1 to 64 visible ASCII
	// characters, without quotes and backslashes.
	Name string
	// Scope tells limits of one name apart, such as the id of the policy
	// entry or of the operation it is for. A limit of the same Scope and Name
	// goes on with its counts after a reload, with its new rate.
	Scope string
	Rate  Rate
	// Burst is how many requests a key that was idle may have at once: 1 to
	// 1,000,000,000; 0 means Rate.N. In any time a key gets at most Burst and
	// what the rate gives in that time.
	Burst int64
}

// A Limit is a compiled Spec. It never changes.
type Limit struct {
	Name  string
	Rate  Rate
	Burst int64

	id       [2]uint64
	interval int64 // nanoseconds from one request to the next, rounded up
	fill     int64 // Burst * interval: from empty to full
	policy   string
}

// Compile checks a spec and makes a limit of it.
func Compile(s Spec) (*Limit, error) {
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("limit %q: "+format, append([]any{s.Name}, args...)...))
	}
	if len(s.Name) == 0 || len(s.Name) > 64 {
		fault("the name must have 1 to 64 characters")
	}
	for i := 0; i < len(s.Name); i++ {
		if c := s.Name[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			fault("the name may hold visible ASCII only, no quotes and no backslash")
			break
		}
	}
	if s.Rate.N < 1 || s.Rate.N > maxCount || s.Rate.Per < time.Millisecond || s.Rate.Per > maxPer {
		fault("the rate must be 1 to %d in 1ms to 31d", maxCount)
	}
	if s.Burst < 0 || s.Burst > maxCount {
		fault("the burst must be 1 to %d", maxCount)
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	l := &Limit{Name: s.Name, Rate: s.Rate, Burst: s.Burst}
	if l.Burst == 0 {
		l.Burst = s.Rate.N
	}
	l.interval = (int64(s.Rate.Per) + s.Rate.N - 1) / s.Rate.N
	if l.Burst > int64(maxFill)/l.interval {
		return nil, fmt.Errorf("limit %q: a burst of %d takes more than a year to come back at %s; lower it", s.Name, l.Burst, s.Rate)
	}
	l.fill = l.Burst * l.interval
	h := fnv.New128a()
	h.Write([]byte(s.Scope))
	h.Write([]byte{0})
	h.Write([]byte(s.Name))
	sum := h.Sum(nil)
	for i := range 8 {
		l.id[0] = l.id[0]<<8 | uint64(sum[i])
		l.id[1] = l.id[1]<<8 | uint64(sum[8+i])
	}
	l.policy = `"` + s.Name + `";q=` + strconv.FormatInt(s.Rate.N, 10) + ";w=" + strconv.FormatInt(seconds(s.Rate.Per), 10)
	return l, nil
}

// seconds rounds up to whole seconds, and to 1 at least.
func seconds(d time.Duration) int64 {
	return max(1, int64((d+time.Second-1)/time.Second))
}

// A Charge is what one exchange has to pay to one limit. The caller fills the
// first fields, the counter the rest.
type Charge struct {
	Limit *Limit
	Key   []byte // borrowed until Take returns
	Cost  int64  // in requests; 0 means 1
	// Observe is set where the limit only watches: it refuses nothing, and
	// what it would have refused it does not charge.
	Observe bool

	// Refused is set on the charges that there was no room for.
	Refused bool
	// Remaining is how many requests the key may have at once from now on.
	Remaining int64
	// Reset is the time until Remaining grows by one; 0 where it is Burst.
	Reset time.Duration
	// Retry is, on a refused charge, the time until it would pass, if nothing
	// else is charged meanwhile. It is negative where it never would, as it
	// costs more than Burst.
	Retry time.Duration
	// Coarse is set where the key had to share a bucket with others, as the
	// counter had no room for one of its own.
	Coarse bool
}

// A Counter counts per limit and key. Take charges all of the charges or none
// of them: it reports whether all that refuse (those that do not only
// observe) had room. It may be called at once by any number of goroutines,
// and what several processes share is shared through one Counter each. An
// error means that nothing is known and nothing was charged; what that means
// for the exchange is for policy to say.
type Counter interface {
	Take(ctx context.Context, now time.Time, charges []Charge) (ok bool, err error)
}

// AppendPolicy appends the value of the RateLimit-Policy field, after
// draft-ietf-httpapi-ratelimit-headers-11: for each limit that refuses, its
// quota and window. It appends nothing where there is none.
func AppendPolicy(dst []byte, charges []Charge) []byte {
	first := true
	for i := range charges {
		if c := &charges[i]; !c.Observe {
			if !first {
				dst = append(dst, ", "...)
			}
			first = false
			dst = append(dst, c.Limit.policy...)
		}
	}
	return dst
}

// AppendState appends the value of the RateLimit field of the same draft: for
// each limit that refuses, what remains (r), and for how many seconds no more
// than that (t).
func AppendState(dst []byte, charges []Charge) []byte {
	first := true
	for i := range charges {
		c := &charges[i]
		if c.Observe {
			continue
		}
		if !first {
			dst = append(dst, ", "...)
		}
		first = false
		dst = append(dst, '"')
		dst = append(dst, c.Limit.Name...)
		dst = append(dst, `";r=`...)
		dst = strconv.AppendInt(dst, c.Remaining, 10)
		if c.Reset > 0 {
			dst = append(dst, ";t="...)
			dst = strconv.AppendInt(dst, seconds(c.Reset), 10)
		}
	}
	return dst
}

// RetryAfter returns the time after which none of the charges would be
// refused, and which of them asks for it; which is -1 where none was refused.
// A charge that would never pass counts as a day.
func RetryAfter(charges []Charge) (wait time.Duration, which int) {
	which = -1
	for i := range charges {
		c := &charges[i]
		if !c.Refused || c.Observe {
			continue
		}
		w := c.Retry
		if w < 0 {
			w = 24 * time.Hour
		}
		if which < 0 || w > wait {
			wait, which = w, i
		}
	}
	return wait, which
}

// AppendRetryAfter appends the value of a Retry-After field (RFC 9110 section
// 10.2.3): whole seconds, rounded up, 1 at least.
func AppendRetryAfter(dst []byte, wait time.Duration) []byte {
	return strconv.AppendInt(dst, seconds(wait), 10)
}
