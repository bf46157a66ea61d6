package jsonschema

import (
	"bytes"
	"math"
	"math/bits"
	"strconv"
)

// A decimal is a number as written, taken apart: ±0.d1d2d3… × 10^exp, where
// the digits (ASCII, without the point) have no zeros in front or behind.
type decimal struct {
	neg bool
	// a and b are the digits before and after the point, one after the other.
	a, b []byte
	exp  int64
}

// maxExp bounds exponents; what is written beyond counts as this.
const maxExp = 1 << 50

// parseDecimal takes a valid JSON number apart. It does not allocate.
func parseDecimal(s []byte) (d decimal) {
	if s[0] == '-' {
		d.neg = true
		s = s[1:]
	}
	i := 0
	for i < len(s) && s[i]-'0' <= 9 {
		i++
	}
	d.a = s[:i]
	if i < len(s) && s[i] == '.' {
		from := i + 1
		for i++; i < len(s) && s[i]-'0' <= 9; i++ {
		}
		d.b = s[from:i]
	}
	d.exp = int64(len(d.a))
	if i < len(s) { // e
		i++
		neg := s[i] == '-'
		if neg || s[i] == '+' {
			i++
		}
		var e int64
		for ; i < len(s); i++ {
			if e = e*10 + int64(s[i]-'0'); e > maxExp {
				e = maxExp
			}
		}
		if neg {
			e = -e
		}
		d.exp += e
	}
	d.b = bytes.TrimRight(d.b, "0")
	if len(d.b) == 0 {
		d.a = bytes.TrimRight(d.a, "0")
	}
	n := len(d.a)
	d.a = bytes.TrimLeft(d.a, "0")
	if d.exp -= int64(n - len(d.a)); len(d.a) == 0 {
		n = len(d.b)
		d.b = bytes.TrimLeft(d.b, "0")
		d.exp -= int64(n - len(d.b))
		d.a, d.b = d.b, nil
	}
	if len(d.a) == 0 { // zero
		return decimal{}
	}
	return d
}

// digits is the number of digits.
func (d *decimal) digits() int64 { return int64(len(d.a) + len(d.b)) }

func (d *decimal) at(i int) byte {
	if i < len(d.a) {
		return d.a[i]
	}
	return d.b[i-len(d.a)]
}

// integral reports whether a valid number is a whole one: 1.0, 1e2.
func integral(s []byte) bool {
	d := parseDecimal(s)
	return d.exp >= d.digits()
}

// compare returns the sign of d - e.
func (d *decimal) compare(e *decimal) int {
	sign := func(x *decimal) int {
		switch {
		case x.digits() == 0:
			return 0
		case x.neg:
			return -1
		}
		return 1
	}
	sd, se := sign(d), sign(e)
	if sd != se {
		if sd < se {
			return -1
		}
		return 1
	}
	if sd == 0 {
		return 0
	}
	switch {
	case d.exp < e.exp:
		return -sd
	case d.exp > e.exp:
		return sd
	}
	n, m := int(d.digits()), int(e.digits())
	for i := range min(n, m) {
		if x, y := d.at(i), e.at(i); x != y {
			if x < y {
				return -sd
			}
			return sd
		}
	}
	switch {
	case n < m:
		return -sd
	case n > m:
		return sd
	}
	return 0
}

// A divisor is the value of multipleOf: digits × 10^exp.
type divisor struct {
	digits uint64
	exp    int64
	plain  int64 // the whole value, where it is a positive int64; else 0
}

// newDivisor returns false where the number is not positive or has more than
// 19 digits.
func newDivisor(s string) (v divisor, ok bool) {
	d := parseDecimal([]byte(s))
	if d.neg || d.digits() == 0 || d.digits() > 19 {
		return v, false
	}
	for i := range int(d.digits()) {
		v.digits = v.digits*10 + uint64(d.at(i)-'0')
	}
	v.exp = d.exp - d.digits()
	if v.exp >= 0 && v.exp <= 18 {
		hi, lo := bits.Mul64(v.digits, pow10[v.exp])
		if hi == 0 && lo <= math.MaxInt64 {
			v.plain = int64(lo)
		}
	}
	return v, true
}

var pow10 = func() (p [19]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// divides reports whether d is a whole multiple, exactly: by remainders only,
// so that 1e1000000000 costs no more than other numbers.
func (v *divisor) divides(d *decimal) bool {
	n := d.digits()
	if n == 0 {
		return true
	}
	shift := d.exp - n - v.exp
	if shift < 0 {
		// digits(d) has no factor 10, v.digits × 10^-shift has one.
		return false
	}
	var rem uint64
	for i := range int(n) {
		rem = mulMod(rem, 10, v.digits)
		rem = addMod(rem, uint64(d.at(i)-'0')%v.digits, v.digits)
	}
	// rem × 10^shift mod digits, by squaring.
	base := 10 % v.digits
	for ; shift > 0; shift >>= 1 {
		if shift&1 != 0 {
			rem = mulMod(rem, base, v.digits)
		}
		base = mulMod(base, base, v.digits)
	}
	return rem == 0
}

func mulMod(a, b, m uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return bits.Rem64(hi, lo, m)
}

func addMod(a, b, m uint64) uint64 {
	s, carry := bits.Add64(a, b, 0)
	return bits.Rem64(carry, s, m)
}

// plainInt returns the value of a number token with tokPlain.
func plainInt(s []byte) int64 {
	neg := s[0] == '-'
	if neg {
		s = s[1:]
	}
	var v int64
	for _, c := range s {
		v = v*10 + int64(c-'0')
	}
	if neg {
		return -v
	}
	return v
}

// roundTrips reports whether a float64 holds the number well enough: whole
// numbers exactly up to 2^53, others without overflow or vanishing.
func roundTrips(s []byte) bool {
	d := parseDecimal(s)
	if d.digits() == 0 {
		return true
	}
	if d.exp < -400 || d.exp > 400 {
		return false
	}
	if d.exp >= d.digits() { // a whole number
		d.neg = false
		return d.compare(&maxExact) <= 0
	}
	f, err := strconv.ParseFloat(string(s), 64)
	return err == nil && f != 0
}

// maxExact is 2^53, up to which a float64 holds all whole numbers.
var maxExact = parseDecimal([]byte("9007199254740992"))

// hash folds the value of a number, equal for equal values.
func (d *decimal) hash() uint64 {
	h := seed2
	for i := range int(d.digits()) {
		h = (h ^ uint64(d.at(i))) * 0x9E3779B97F4A7C15
		h ^= h >> 29
	}
	h ^= uint64(d.exp)
	if d.neg {
		h = ^h
	}
	return mix(h, seed1)
}

// hashNumber hashes a number as written, equally for equal values: those that
// are whole and have at most 18 digits by their value.
func hashNumber(s []byte, plain bool) uint64 {
	if plain {
		return mix(4, uint64(plainInt(s)))
	}
	d := parseDecimal(s)
	if n := d.digits(); d.exp < n || d.exp > 18 {
		if n == 0 {
			return mix(4, 0)
		}
		return d.hash()
	}
	var v int64
	for i := range int(d.digits()) {
		v = v*10 + int64(d.at(i)-'0')
	}
	v *= int64(pow10[d.exp-d.digits()])
	if d.neg {
		v = -v
	}
	return mix(4, uint64(v))
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^seed0, b^seed2)
	return hi ^ lo
}
