package classify

import "bytes"

// findEmail finds an address of RFC 5321 in the shape people write it, with
// letters of any script. User information in a URL, handles, package versions
// and file names of the kind image@2x.png are none.
func findEmail(s []byte) (start, end int, ok bool) {
	for from := 0; from < len(s); {
		i := bytes.IndexByte(s[from:], '@')
		if i < 0 {
			return 0, 0, false
		}
		i += from
		if start, end, ok := emailAt(s, i); ok {
			return start, end, true
		}
		from = i + 1
	}
	return 0, 0, false
}

// isLocal reports whether c may stand in a local part. Of RFC 5322's atext
// the bytes that only ever join other things (= / ? { } | ^ `) are left out.
func isLocal(c byte) bool {
	if isAlnum(c) {
		return true
	}
	switch c {
	case '.', '_', '%', '+', '-', '\'', '!', '#', '&', '*', '~':
		return true
	}
	return false
}

func emailAt(s []byte, i int) (start, end int, ok bool) {
	start = i
	for start > 0 {
		if isLocal(s[start-1]) {
			start--
		} else if n := letterBefore(s, start); n > 0 {
			start -= n
		} else {
			break
		}
	}
	// Quotes and marks that surround an address rather than begin it.
	for start < i && !isAlnum(s[start]) && s[start] < 0x80 && s[start] != '_' && s[start] != '+' {
		start++
	}
	if n := i - start; n == 0 || n > 64 || s[i-1] == '.' || bytes.Contains(s[start:i], dotDot) {
		return 0, 0, false
	}
	if string(s[start:i]) == "git" { // the user of every repository's host
		return 0, 0, false
	}
	switch at(s, start-1) {
	case '@': // a handle: @user@example.social
		return 0, 0, false
	case '/': // a URL's user, or a path
		return 0, 0, false
	case ':': // scheme://user:password@host
		if inAuthority(s, start) {
			return 0, 0, false
		}
	}
	end, ok = domainAt(s, i+1)
	if !ok || at(s, end) == '@' {
		return 0, 0, false
	}
	if c := at(s, end); c == ':' || c == '/' { // git@host:path, user@host/resource
		if d := at(s, end+1); isWord(d) || d == '/' || d == '~' || d == '.' {
			return 0, 0, false
		}
	}
	return start, end, true
}

var dotDot = []byte("..")

// inAuthority reports whether s[:i] ends inside the authority of a URL.
func inAuthority(s []byte, i int) bool {
	for j := i - 1; j >= 0 && j > i-256; j-- {
		switch c := s[j]; {
		case c == '/':
			return has(s, j-2, "://")
		case c <= ' ' || c == '<' || c == '"':
			return false
		}
	}
	return false
}

// domainAt returns the end of the domain name that begins at s[i].
func domainAt(s []byte, i int) (end int, ok bool) {
	label, dots, first := i, 0, i
	j := i
	for j < len(s) && j-i <= 255 {
		c := s[j]
		if isAlnum(c) || c == '-' {
			j++
			continue
		}
		if c == '.' && j > label {
			if !isAlnum(at(s, j+1)) && letterAt(s, j+1) == 0 {
				break // the end of a sentence
			}
			j++
			label = j
			dots++
			continue
		}
		if c >= 0x80 {
			if n := letterAt(s, j); n > 0 {
				j += n
				continue
			}
		}
		break
	}
	if dots == 0 || j-i > 253 || s[first] == '-' {
		return 0, false
	}
	tld := s[label:j]
	for len(tld) > 0 && tld[len(tld)-1] == '-' {
		tld = tld[:len(tld)-1]
		j--
	}
	if len(tld) < 2 || len(tld) > 63 || at(s, j) == '_' {
		return 0, false
	}
	if !has(tld, 0, "xn--") {
		for _, c := range tld {
			if !isAlpha(c) && c < 0x80 {
				return 0, false
			}
		}
	}
	// A version: pkg@v1.0.beta. A name of digits alone is honest: 163.com.
	k := first
	if s[k]|0x20 == 'v' {
		k++
	}
	for k < j && isDigit(s[k]) {
		k++
	}
	if k > first && s[k] == '.' && isDigit(at(s, k+1)) {
		return 0, false
	}
	if isFileSuffix(tld) {
		return 0, false
	}
	return j, true
}

// isFileSuffix reports whether a last label is a usual ending of file names
// that is no top level domain.
func isFileSuffix(tld []byte) bool {
	if len(tld) > 5 {
		return false
	}
	var low [5]byte
	for i, c := range tld {
		low[i] = c | 0x20
	}
	switch string(low[:len(tld)]) {
	case "png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "heic", "bmp", "ico", "pdf", "tif", "tiff",
		"css", "scss", "less", "js", "mjs", "jsx", "tsx", "json", "html", "htm", "xml", "yaml", "yml", "txt", "csv",
		"exe", "dll", "tar", "gz", "tgz", "jar", "war", "log", "conf", "service", "lock", "local", "class", "java", "go":
		return true
	}
	return false
}

// findSSN finds a US social security number in its written form, AAA-GG-SSSS.
// Areas 000, 666 and 900 to 999, group 00 and serial 0000 were never issued,
// and two numbers are known from advertisements (SSA, POMS RM 10201.035).
func findSSN(s []byte) (start, end int, ok bool) {
	for from := 0; from+11 <= len(s); {
		i := bytes.IndexByte(s[from:], '-')
		if i < 0 {
			return 0, 0, false
		}
		i += from - 3
		from = i + 4
		if i < 0 || i+11 > len(s) || s[i+6] != '-' {
			continue
		}
		t := s[i : i+11]
		if !digits(t[:3]) || !digits(t[4:6]) || !digits(t[7:]) || joined(s, i, i+11) {
			continue
		}
		area := int(t[0]-'0')*100 + int(t[1]-'0')*10 + int(t[2]-'0')
		if area == 0 || area == 666 || area >= 900 || string(t[4:6]) == "00" || string(t[7:]) == "0000" {
			continue
		}
		if string(t) == "078-05-1120" || string(t) == "219-09-9999" {
			continue
		}
		return i, i + 11, true
	}
	return 0, 0, false
}

func digits(s []byte) bool {
	for _, c := range s {
		if !isDigit(c) {
			return false
		}
	}
	return true
}

// joined reports whether the number s[start:end] is a part of something
// longer: a word, a decimal, a path, a dashed identifier.
func joined(s []byte, start, end int) bool {
	b := at(s, start-1)
	if isWord(b) || b == '-' || b == '+' || b == '/' || b == '#' || b == '$' {
		return true
	}
	if (b == '.' || b == ',') && isWord(at(s, start-2)) {
		return true
	}
	a := at(s, end)
	if isWord(a) || a == '%' || a == '/' {
		return true
	}
	return (a == '-' || a == '.' || a == ',' || a == ':') && isWord(at(s, end+1))
}

// findPhone finds a telephone number in international form: + and a country
// code that ITU-T E.164 assigns, with as many digits as that country has, and
// single separators at most. National forms are not looked for: too many
// order numbers look like them.
func findPhone(s []byte) (start, end int, ok bool) {
	for from := 0; from < len(s); {
		i := bytes.IndexByte(s[from:], '+')
		if i < 0 {
			return 0, 0, false
		}
		i += from
		if end, ok := phoneAt(s, i); ok {
			return i, end, true
		}
		from = i + 1
	}
	return 0, 0, false
}

func phoneAt(s []byte, i int) (end int, ok bool) {
	if b := at(s, i-1); isWord(b) || b == '+' || b == '/' || b == '=' && isWord(at(s, i-2)) && base64Run(s, i) {
		return 0, false
	}
	var num [16]byte // E.164 allows 15
	n, j, open := 0, i+1, false
	end = j
	for j < len(s) {
		c := s[j]
		switch {
		case isDigit(c):
			if n == len(num) {
				return 0, false
			}
			num[n] = c
			n++
			j++
			if !open {
				end = j
			}
			continue
		case c == '(' && !open && n > 0 && isDigit(at(s, j+1)):
			if has(s, j, "(0)") { // a trunk prefix, which is not dialled from abroad
				j += 3
				continue
			}
			open = true
			j++
			continue
		case c == ')' && open:
			open = false
			j++
			end = j
			continue
		case (c == ' ' || c == '-' || c == '.' || c == '/') && n > 0:
			d := at(s, j+1)
			if isDigit(d) || d == '(' && c != '.' {
				j++
				continue
			}
		case has(s, j, "\u00a0") && isDigit(at(s, j+2)), has(s, j, "\u2011") && isDigit(at(s, j+3)):
			if c == 0xc2 {
				j += 2
			} else {
				j += 3
			}
			continue
		}
		break
	}
	if open || !isDigit(at(s, i+1)) && at(s, i+1) != '(' {
		return 0, false
	}
	if a := at(s, end); isWord(a) || a == '%' || a == '+' || a == '=' ||
		(a == '.' || a == ',' || a == ':') && isDigit(at(s, end+1)) {
		return 0, false
	}
	return end, plausiblePhone(num[:n])
}

// base64Run reports whether the text around s[i] reads like base64, in which
// a + means nothing.
func base64Run(s []byte, i int) bool {
	n := 0
	for j := i - 1; j >= 0 && isBase64(s[j]) && n < 24; j-- {
		n++
	}
	return n == 24
}

// plausiblePhone reports whether num is a country code and a national number
// of a length that the country uses.
func plausiblePhone(num []byte) bool {
	if len(num) < 8 || len(num) > 15 {
		return false
	}
	if num[0] == '1' { // North America: area and exchange begin with 2 to 9
		return len(num) == 11 && num[1] >= '2' && num[4] >= '2' && !(num[2] == '1' && num[3] == '1')
	}
	cc, min, max := 0, byte(0), byte(0)
	for i := 0; i < 3; i++ {
		cc = cc*10 + int(num[i]-'0')
		if r := phoneCodes[cc]; r[1] != 0 && (i > 0 || cc == 7) {
			min, max = r[0], r[1]
			n := byte(len(num) - i - 1)
			// A national number never begins with the trunk prefix 0, but
			// in Italy.
			return n >= min && n <= max && (num[i+1] != '0' || cc == 39)
		}
	}
	return false
}

// phoneCodes holds, at each country code, the least and greatest length of a
// national number. The codes are those of ITU-T E.164; the lengths leave out
// short and old numbers, so that sums and sizes are not taken for numbers.
var phoneCodes = func() (t [1000][2]byte) {
	for _, r := range []struct {
		min, max byte
		codes    []int
	}{
		{10, 10, []int{7, 20, 30, 52, 57, 58, 90, 91, 92}},
		{9, 9, []int{27, 31, 32, 33, 34, 40, 41, 48, 51, 56, 66, 93, 94}},
		{8, 9, []int{36, 64}},
		{9, 11, []int{39}},
		{8, 13, []int{43}},
		{9, 10, []int{44, 81, 84, 98}},
		{8, 8, []int{45, 47, 53, 65}},
		{8, 10, []int{46, 60, 95}},
		{8, 11, []int{49, 62, 82}},
		{10, 11, []int{54, 55, 86}},
		{9, 9, []int{61}},
		{10, 10, []int{63}},
		{9, 9, []int{211, 212, 213, 249, 250, 251, 252, 254, 255, 256, 258, 260, 261, 263, 264, 265, 244, 243, 233, 237}},
		{8, 8, []int{216, 222, 223, 226, 227, 228, 231, 235, 236, 241, 253, 257, 266, 267, 268}},
		{9, 9, []int{218, 221, 224, 240, 242}},
		{10, 10, []int{225}},
		{10, 10, []int{234}},
		{7, 7, []int{220, 238, 245, 239, 248, 269, 291, 297, 298, 299}},
		{8, 9, []int{229, 230, 232, 262}},
		{8, 9, []int{350, 351, 352, 353, 354, 355, 356, 357, 358, 359}},
		{8, 8, []int{370, 371, 372, 373, 374, 376, 377, 378}},
		{9, 9, []int{375, 380, 420, 421, 423}},
		{8, 9, []int{381, 382, 383, 385, 386, 387, 389}},
		{7, 8, []int{500, 501, 502, 503, 504, 505, 506, 507, 508, 509}},
		{8, 10, []int{590, 591, 592, 593, 594, 595, 596, 597, 598, 599}},
		{7, 8, []int{670, 672, 673, 674, 675, 676, 677, 678, 679, 680, 685, 687, 689}},
		{8, 11, []int{850, 852, 853, 855, 856, 880, 886}},
		{8, 9, []int{961, 962, 963, 965, 966, 967, 968, 971, 972, 973, 974, 970, 975, 976, 977}},
		{10, 10, []int{964}},
		{7, 7, []int{960}},
		{9, 9, []int{992, 993, 994, 995, 996, 998}},
	} {
		for _, c := range r.codes {
			t[c] = [2]byte{r.min, r.max}
		}
	}
	t[977] = [2]byte{8, 10} // Nepal
	t[352] = [2]byte{6, 11} // Luxembourg
	t[358] = [2]byte{7, 11} // Finland
	t[354] = [2]byte{7, 9}  // Iceland
	t[372] = [2]byte{7, 8}  // Estonia
	return t
}()
