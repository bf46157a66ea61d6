package classify

// findCard finds a payment card number: a prefix and length that a scheme
// issues, the check digit of ISO/IEC 7812-1 (Luhn), and either no separators
// or those of a printed card.
func findCard(s []byte) (start, end int, ok bool) {
	for i := 0; i+14 <= len(s); {
		if !isDigit(s[i]) {
			i++
			continue
		}
		if end := cardAt(s, i); end > 0 {
			return i, end, true
		}
		for i < len(s) && isDigit(s[i]) {
			i++
		}
	}
	return 0, 0, false
}

// printed are the groups that numbers are printed in, longest first.
var printed = [...]string{"\x04\x04\x04\x04\x03", "\x04\x04\x04\x04\x02", "\x04\x04\x04\x04", "\x04\x06\x05", "\x04\x06\x04"}

// cardAt returns the end of the card number that begins at s[i], a digit that
// no digit stands before, or 0.
func cardAt(s []byte, i int) (end int) {
	var num [19]byte
	n, j := 0, i
	for ; isDigit(at(s, j)); j++ {
		if n == len(num) {
			return 0
		}
		num[n] = s[j] - '0'
		n++
	}
	if n > 4 {
		if n < 14 || joined(s, i, j) || !scheme(num[:n], false) {
			return 0
		}
		return j
	}
	sep := at(s, j)
	if n < 4 || sep != ' ' && sep != '-' {
		return 0
	}
	// Four digits and a separator before it: a part of something longer.
	if i >= 5 && s[i-1] == sep && digits(s[i-5:i-1]) && !isDigit(at(s, i-6)) {
		return 0
	}
next:
	for _, groups := range printed {
		n, j := 0, i
		for g := 0; g < len(groups); g++ {
			if g > 0 {
				if at(s, j) != sep {
					continue next
				}
				j++
			}
			for k := byte(0); k < groups[g]; k++ {
				c := at(s, j)
				if !isDigit(c) {
					continue next
				}
				num[n] = c - '0'
				n++
				j++
			}
		}
		if joined(s, i, j) || !scheme(num[:n], true) {
			continue
		}
		// Four digits and no more behind it: again.
		if at(s, j) == sep && j+5 <= len(s) && digits(s[j+1:j+5]) && !isDigit(at(s, j+5)) {
			continue
		}
		return j
	}
	return 0
}

// scheme reports whether a scheme issues numbers such as d, and the check
// digit is right. Lengths that only served long ago, or that serve as
// barcodes and times too (13 digits), are left out, and 17 to 19 digits
// without separators count only where no other numbers look so.
func scheme(d []byte, grouped bool) bool {
	n := len(d)
	if n < 14 {
		return false
	}
	p2 := int(d[0])*10 + int(d[1])
	p4 := p2*100 + int(d[2])*10 + int(d[3])
	var ok bool
	switch {
	case d[0] == 4: // Visa
		ok = n == 16 || n == 19 && grouped
	case p2 >= 51 && p2 <= 55, p4 >= 2221 && p4 <= 2720: // Mastercard
		ok = n == 16
	case p2 == 34 || p2 == 37: // American Express
		ok = n == 15
	case p4 == 6011, p4 >= 6440 && p4 <= 6499, p2 == 65: // Discover, RuPay
		ok = n == 16 || n == 19 && grouped
	case p4 >= 3000 && p4 <= 3059, p4 == 3095, p2 == 36, p2 == 38, p2 == 39: // Diners Club
		ok = n == 14 || n == 16 && grouped
	case p4 >= 3528 && p4 <= 3589: // JCB
		ok = n == 16 || n == 19 && grouped
	case p2 == 62, p2 == 81: // UnionPay, RuPay
		ok = n == 16 || n <= 19 && grouped
	case p4 >= 2200 && p4 <= 2204: // Mir
		ok = n == 16
	case p4 == 5018, p4 == 5020, p4 == 5038, p4 == 5893, p4 == 6304, p4 == 6759, p4 >= 6761 && p4 <= 6763: // Maestro
		ok = n == 16 || n <= 19 && grouped
	case p4 == 9792: // Troy
		ok = n == 16
	}
	if !ok {
		return false
	}
	total, same := 0, true
	for i := 0; i < n; i++ {
		v := int(d[n-1-i])
		if i&1 == 1 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		total += v
		same = same && d[i] == d[0]
	}
	return total%10 == 0 && !same
}

// findIBAN finds an account number of ISO 13616: a country of the registry,
// its length and the kinds of its characters, and the check of ISO 7064
// (mod 97). Capitals only, plain or in groups of four.
func findIBAN(s []byte) (start, end int, ok bool) {
	for i := 0; i+15 <= len(s); i++ {
		if !isUpper(s[i]) || !isUpper(s[i+1]) || !isDigit(s[i+2]) || !isDigit(s[i+3]) {
			continue
		}
		if b := at(s, i-1); isWord(b) || b == '-' || b == '/' || b == '+' {
			continue
		}
		if end, ok := ibanAt(s, i); ok {
			return i, end, true
		}
	}
	return 0, 0, false
}

func ibanAt(s []byte, i int) (end int, ok bool) {
	format := ibanFormats[int(s[i]-'A')*26+int(s[i+1]-'A')]
	if format == "" {
		return 0, false
	}
	spaced := at(s, i+4) == ' '
	// The check moves the first four characters to the end.
	mod, numbers := 0, 2
	j, n := i+4, 4
	for f := 0; f < len(format); f += 2 {
		kind := format[f]
		for left := format[f+1]; left > 0; left-- {
			if spaced && n&3 == 0 {
				if at(s, j) != ' ' {
					return 0, false
				}
				j++
			}
			c := at(s, j)
			switch {
			case isDigit(c) && kind != 'a':
				mod = (mod*10 + int(c-'0')) % 97
				numbers++
			case isUpper(c) && kind != 'n':
				mod = (mod*100 + int(c-'A') + 10) % 97
			default:
				return 0, false
			}
			j++
			n++
		}
	}
	mod = (mod*10000 + (int(s[i]-'A')+10)*100 + int(s[i+1]-'A') + 10) % 97
	mod = (mod*100 + int(s[i+2]-'0')*10 + int(s[i+3]-'0')) % 97
	if mod != 1 || numbers < 8 {
		return 0, false
	}
	a := at(s, j)
	if isWord(a) || (a == '-' || a == '.' || a == '/') && isWord(at(s, j+1)) || a == '=' || a == '+' || a == '/' {
		return 0, false
	}
	return j, true
}

// ibanFormats holds, at the two letters of a country, what follows its check
// digits: pairs of a kind (n digits, a capitals, c either) and a count, after
// the SWIFT IBAN registry.
var ibanFormats = func() (t [26 * 26]string) {
	for _, f := range []string{
		"AD8n12c", "AE19n", "AL8n16c", "AT16n", "AZ4a20c", "BA16n", "BE12n", "BG4a6n8c", "BH4a14c", "BI23n",
		"BR23n1a1c", "BY4c4n16c", "CH5n12c", "CR18n", "CY8n16c", "CZ20n", "DE18n", "DJ23n", "DK14n", "DO4c20n",
		"EE16n", "EG25n", "ES20n", "FI14n", "FK2a12n", "FO14n", "FR10n11c2n", "GB4a14n", "GE2a16n", "GI4a15c",
		"GL14n", "GR7n16c", "GT24c", "HN4a20n", "HR17n", "HU24n", "IE4a14n", "IL19n", "IQ4a15n", "IS22n",
		"IT1a10n12c", "JO4a4n18c", "KW4a22c", "KZ3n13c", "LB4n20c", "LC4a24c", "LI5n12c", "LT16n", "LU3n13c",
		"LV4a13c", "LY21n", "MC10n11c2n", "MD20c", "ME18n", "MK3n10c2n", "MN16n", "MR23n", "MT4a5n18c",
		"MU4a19n3a", "NI4a20n", "NL4a10n", "NO11n", "OM3n16c", "PK4a16c", "PL24n", "PS4a21c", "PT21n", "QA4a21c",
		"RO4a16c", "RS18n", "RU14n15c", "SA2n18c", "SC4a20n3a", "SD14n", "SE20n", "SI15n", "SK20n", "SM1a10n12c",
		"SO19n", "ST21n", "SV4a20n", "TL19n", "TN20n", "TR6n16c", "UA6n19c", "VA18n", "VG4a16n", "XK16n", "YE4a4n18c",
	} {
		var b []byte
		n := byte(0)
		for i := 2; i < len(f); i++ {
			if isDigit(f[i]) {
				n = n*10 + f[i] - '0'
				continue
			}
			b = append(b, f[i], n)
			n = 0
		}
		t[int(f[0]-'A')*26+int(f[1]-'A')] = string(b)
	}
	return t
}()
