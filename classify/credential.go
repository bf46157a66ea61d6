package classify

import (
	"bytes"
	"encoding/base64"
)

// findJWT finds a token of RFC 7519 in compact form: a header that decodes to
// a JSON object with alg, and two further parts (a signature) or four
// (encryption).
func findJWT(s []byte) (start, end int, ok bool) {
	for from := 0; from < len(s); {
		i := index(s[from:], "eyJ")
		if i < 0 {
			return 0, 0, false
		}
		i += from
		from = i + 3
		if b := at(s, i-1); isBase64URL(b) || b == '.' && isBase64URL(at(s, i-2)) {
			continue
		}
		end, ok := jwtAt(s, i)
		if ok {
			return i, end, true
		}
		from = max(from, end)
	}
	return 0, 0, false
}

// jwtAt returns the end of the run of base64url and dots at s[i], and whether
// it is a token.
func jwtAt(s []byte, i int) (end int, ok bool) {
	var part [5]int // the end of each part
	dots, j := 0, i
	for ; j < len(s); j++ {
		if isBase64URL(s[j]) {
			continue
		}
		if s[j] != '.' || dots == 4 || j == i {
			break
		}
		if dots < 2 && !isBase64URL(at(s, j+1)) && !(dots == 1 && j > part[0]+1) {
			break // the end of a sentence; a signature may be empty (alg none)
		}
		part[dots] = j
		dots++
	}
	if dots < 2 || part[1] == part[0]+1 {
		return j, false
	}
	if dots == 3 {
		j = part[2]
	}
	head := s[i:part[0]]
	if len(head) > 1024 {
		head = head[:1024] // the header of a token that carries a certificate chain
	}
	var buf [768]byte
	n, err := base64.RawURLEncoding.Decode(buf[:], head[:len(head)&^3])
	if err != nil && n == 0 {
		return j, false
	}
	tail := 0
	if r := head[len(head)&^3:]; len(r) > 1 {
		tail, _ = base64.RawURLEncoding.Decode(buf[n:], r)
	}
	return j, namesAlg(buf[:n+tail])
}

// namesAlg reports whether a JSON object has a member alg that is a string.
func namesAlg(b []byte) bool {
	if len(b) == 0 || b[0] != '{' {
		return false
	}
	i := index(b, `"alg"`)
	if i < 0 {
		return false
	}
	for i += 5; i < len(b) && (b[i] == ' ' || b[i] == ':' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r'); i++ {
	}
	return at(b, i) == '"'
}

// findPrivateKey finds a private key in PEM (RFC 7468 and older forms). The
// value reaches to its end line or, where that was cut off, to the end of the
// text. The bare header line in prose is no key.
func findPrivateKey(s []byte) (start, end int, ok bool) {
	for from := 0; from < len(s); {
		i := index(s[from:], "-----BEGIN ")
		if i < 0 {
			return 0, 0, false
		}
		i += from
		from = i + 11
		j := from
		for j < len(s) && (isUpper(s[j]) || isDigit(s[j]) || s[j] == ' ') {
			j++
		}
		if !has(s, j, "-----") || !bytes.Contains(s[from:j], privateKey) {
			continue
		}
		body := j + 5
		if !keyMaterial(s[body:]) {
			continue
		}
		if k := index(s[body:], "-----END "); k >= 0 {
			k += body + 9
			if l := index(s[k:], "-----"); l >= 0 {
				return i, k + l + 5, true
			}
		}
		return i, len(s), true
	}
	return 0, 0, false
}

var privateKey = []byte("PRIVATE KEY")

// keyMaterial reports whether s begins with 32 characters of base64, or with
// the header fields of an encrypted key, white space and its escapes aside.
func keyMaterial(s []byte) bool {
	n := 0
	for i := 0; i < len(s) && i < 512; i++ {
		c := s[i]
		switch {
		case c == '\\' && (at(s, i+1) == 'n' || at(s, i+1) == 'r'):
			i++
		case isBase64(c):
			if n++; n == 32 {
				return true
			}
		case c == '\n' || c == '\r' || c == '\t' || n == 0 && c == ' ':
		case c == ':':
			// "Proc-Type: 4,ENCRYPTED", "Version: GnuPG"
			return n > 0
		case c == '-' && n > 0 && n < 24: // inside a field's name
		default:
			return false
		}
	}
	return false
}

// findPasswordHash finds a password's hash in the modular or PHC form: bcrypt,
// argon2, scrypt, yescrypt, SHA-crypt, MD5-crypt, PBKDF2, and the forms of
// Django and Werkzeug.
func findPasswordHash(s []byte) (start, end int, ok bool) {
	for from := 0; from < len(s); {
		i := bytes.IndexByte(s[from:], '$')
		if i < 0 {
			return 0, 0, false
		}
		i += from
		from = i + 1
		start, end := hashAt(s, i)
		if end == 0 {
			continue
		}
		if b := at(s, start-1); isWord(b) || b == '$' {
			continue
		}
		if a := at(s, end); isHashByte(a) || a == '$' && isHashByte(at(s, end+1)) {
			continue
		}
		return start, end, true
	}
	return 0, 0, false
}

// isHashByte reports whether c is of the alphabets of crypt and base64.
func isHashByte(c byte) bool { return isAlnum(c) || c == '.' || c == '/' || c == '+' }

// span returns the end of the run of hash bytes at s[i].
func span(s []byte, i int) int {
	for i < len(s) && (isHashByte(s[i]) || s[i] == '=' || s[i] == '_' || s[i] == '-') {
		i++
	}
	return i
}

// hashAt returns the bounds of the hash whose first '$' is s[i], end 0 where
// there is none.
func hashAt(s []byte, i int) (start, end int) {
	for _, n := range [...]string{"pbkdf2_sha256", "pbkdf2_sha1", "pbkdf2_sha512", "scrypt", "bcrypt_sha256", "argon2"} {
		if has(s, i-len(n), n) {
			// Django: name$parameters…$hash
			if e, parts := parts(s, i); parts >= 2 && e-i >= 40 {
				return i - len(n), e
			}
		}
	}
	// Werkzeug: pbkdf2:sha256:260000$salt$hex, scrypt:32768:8:1$salt$hex
	b := i
	for b > 0 && i-b < 40 && (isAlnum(s[b-1]) || s[b-1] == ':') {
		b--
	}
	if has(s, b, "pbkdf2:") || has(s, b, "scrypt:") {
		if e, parts := parts(s, i); parts == 2 && e-i >= 40 {
			return b, e
		}
	}
	switch t := s[i:]; {
	case len(t) >= 60 && t[1] == '2' && t[3] == '$' && (t[2] == 'a' || t[2] == 'b' || t[2] == 'x' || t[2] == 'y'):
		// bcrypt: $2b$12$, 22 of salt, 31 of hash
		if !isDigit(t[4]) || !isDigit(t[5]) || t[6] != '$' {
			return 0, 0
		}
		for _, c := range t[7:60] {
			if !isAlnum(c) && c != '.' && c != '/' {
				return 0, 0
			}
		}
		return i, i + 60
	case has(t, 0, "$argon2") || has(t, 0, "$scrypt$") || has(t, 0, "$pbkdf2") || has(t, 0, "$bcrypt-sha256$"):
		if e, parts := parts(s, i); parts >= 3 && e-i >= 40 {
			return i, e
		}
	case has(t, 0, "$5$"):
		return shaCrypt(s, i, 43)
	case has(t, 0, "$6$"):
		return shaCrypt(s, i, 86)
	case has(t, 0, "$1$") || has(t, 0, "$apr1$"):
		return shaCrypt(s, i, 22)
	case has(t, 0, "$y$") || has(t, 0, "$gy$") || has(t, 0, "$7$"):
		if e, parts := parts(s, i); parts >= 3 && e-i >= 50 {
			return i, e
		}
	}
	return 0, 0
}

// parts returns the end of the parts, each begun by '$', that follow s[i],
// and how many there are. The last must be as long as a salt or hash.
func parts(s []byte, i int) (end, n int) {
	for i < len(s) && s[i] == '$' {
		j := i + 1
		for j < len(s) && (isHashByte(s[j]) || s[j] == '=' || s[j] == ',' || s[j] == '-' || s[j] == '_') {
			j++
		}
		if j == i+1 {
			break
		}
		n++
		end, i = j, j
	}
	// The comma and the full stop after it belong to the sentence.
	for end > 0 && n > 0 && (s[end-1] == ',' || s[end-1] == '.') {
		end--
	}
	return end, n
}

// shaCrypt reads $id$[rounds=n$]salt$hash with a hash of so many bytes.
func shaCrypt(s []byte, i, hash int) (start, end int) {
	j := i + 1
	for s[j] != '$' {
		j++
	}
	if has(s, j+1, "rounds=") {
		if j = span(s, j+1); at(s, j) != '$' {
			return 0, 0
		}
	}
	salt := j + 1
	for j++; isHashByte(at(s, j)); j++ {
	}
	if at(s, j) != '$' || j-salt > 16 {
		return 0, 0
	}
	first := j + 1
	for j++; isAlnum(at(s, j)) || at(s, j) == '.' || at(s, j) == '/'; j++ {
	}
	if n := j - first; n == hash || n == hash+1 && s[j-1] == '.' {
		return i, first + hash
	}
	return 0, 0
}

// A keyShape is how a service's keys look.
type keyShape struct {
	prefix   string
	min, max int // of what follows the prefix
	alphabet func(byte) bool
}

func isBase32(c byte) bool    { return isUpper(c) || c-'2' < 6 }
func isLowerHex(c byte) bool  { return isDigit(c) || c-'a' < 6 }
func isKeyDotted(c byte) bool { return isBase64URL(c) || c == '.' }
func isUpperNum(c byte) bool  { return isUpper(c) || isDigit(c) }

// keyShapes are the keys that announce themselves. Keys made to be published
// (pk_live_, Google's client ids) are none.
var keyShapes = []keyShape{
	{"AKIA", 16, 16, isBase32}, {"ASIA", 16, 16, isBase32}, // AWS
	{"ghp_", 36, 251, isAlnum}, {"gho_", 36, 251, isAlnum}, {"ghu_", 36, 251, isAlnum}, // GitHub
	{"ghs_", 36, 251, isAlnum}, {"ghr_", 36, 251, isAlnum}, {"github_pat_", 60, 255, isBase64URL},
	{"glpat-", 20, 64, isKeyDotted}, {"gldt-", 20, 64, isBase64URL}, {"glrt-", 20, 64, isKeyDotted}, // GitLab
	{"xoxb-", 20, 255, isBase64URL}, {"xoxp-", 20, 255, isBase64URL}, {"xoxa-", 20, 255, isBase64URL}, // Slack
	{"xoxr-", 20, 255, isBase64URL}, {"xoxs-", 20, 255, isBase64URL}, {"xapp-", 20, 255, isBase64URL},
	{"sk_live_", 16, 255, isAlnum}, {"sk_test_", 16, 255, isAlnum}, {"rk_live_", 16, 255, isAlnum}, // Stripe
	{"whsec_", 24, 255, isBase64},
	{"AIza", 35, 35, isBase64URL}, {"GOCSPX-", 28, 28, isBase64URL}, {"ya29.", 30, 2048, isKeyDotted}, // Google
	{"sk-proj-", 20, 255, isBase64URL}, {"sk-ant-", 20, 255, isBase64URL}, {"sk-svcacct-", 20, 255, isBase64URL},
	{"SG.", 60, 80, isKeyDotted},                                                                // SendGrid
	{"npm_", 36, 36, isAlnum}, {"pypi-AgE", 60, 512, isBase64URL}, {"rubygems_", 48, 48, isHex}, // registries
	{"dckr_pat_", 27, 64, isBase64URL},
	{"shpat_", 32, 32, isHex}, {"shpss_", 32, 32, isHex}, {"shpca_", 32, 32, isHex}, {"shppa_", 32, 32, isHex},
	{"dop_v1_", 64, 64, isLowerHex}, {"doo_v1_", 64, 64, isLowerHex}, {"dor_v1_", 64, 64, isLowerHex},
	{"hf_", 34, 40, isAlnum}, {"hvs.", 24, 255, isBase64URL}, {"hvb.", 100, 255, isBase64URL},
	{"dapi", 32, 36, isLowerHex}, {"glsa_", 41, 64, isBase64URL}, {"glc_", 32, 512, isBase64},
	{"lin_api_", 40, 40, isAlnum}, {"NRAK-", 27, 27, isUpperNum}, {"sntrys_", 64, 512, isBase64},
	{"dp.pt.", 40, 44, isAlnum}, {"pscale_tkn_", 32, 64, isKeyDotted}, {"pscale_pw_", 32, 64, isKeyDotted},
	{"PMAK-", 50, 64, isBase64URL}, {"sbp_", 40, 40, isLowerHex}, {"fo1_", 43, 43, isBase64URL},
	{"sq0atp-", 22, 22, isBase64URL}, {"sq0csp-", 43, 43, isBase64URL},
	{"AGE-SECRET-KEY-1", 58, 58, isUpperNum}, {"tskey-auth-", 20, 64, isBase64URL},
	{"figd_", 40, 64, isBase64URL}, {"secret_", 43, 43, isAlnum}, {"ntn_", 46, 46, isAlnum},
	{"EAAA", 60, 60, isBase64URL}, {"LTAI5t", 18, 18, isAlnum}, // Square, Alibaba
}

// keyStarts says, for each byte, whether a key can begin with it.
var keyStarts = func() (t [256]bool) {
	for _, k := range keyShapes {
		t[k.prefix[0]] = true
	}
	return t
}()

// findAPIKey finds a key of a service whose keys have a prefix of their own.
func findAPIKey(s []byte) (start, end int, ok bool) {
	word := false // whether s[i-1] continues a word
	for i := 0; i+20 <= len(s); i++ {
		c := s[i]
		if !word && keyStarts[c] {
			if end := keyAt(s, i); end > 0 {
				return i, end, true
			}
		}
		word = isWord(c) || c == '-' || c == '.' || c == '/' || c == '+'
		if c == '/' || c == '.' || c == '-' {
			// A key may follow a path's slash or a label, but base64 has
			// slashes too: there a letter stands on both sides.
			word = isWord(at(s, i-1)) && c != '/' || c == '/' && base64Run(s, i)
		}
	}
	return 0, 0, false
}

func keyAt(s []byte, i int) (end int) {
	for k := range keyShapes {
		shape := &keyShapes[k]
		if !has(s, i, shape.prefix) {
			continue
		}
		first := i + len(shape.prefix)
		j := first
		for j < len(s) && shape.alphabet(s[j]) {
			j++
		}
		for j > first && s[j-1] == '.' {
			j-- // the end of a sentence
		}
		if n := j - first; n < shape.min || n > shape.max || isWord(at(s, j)) {
			continue
		}
		if shape.max > shape.min && !mixed(s[first:j]) {
			continue
		}
		if longestRun(s[i:j]) < 16 {
			continue
		}
		return j
	}
	return 0
}

// longestRun returns the length of the longest run without dots and the like,
// which random keys have and dotted names do not.
func longestRun(s []byte) (longest int) {
	run := 0
	for _, c := range s {
		if run++; !isBase64URL(c) && c != '+' && c != '/' {
			run = 0
		}
		longest = max(longest, run)
	}
	return longest
}

// mixed reports whether s holds both letters and digits, as random text does
// and words joined by dashes do not.
func mixed(s []byte) bool {
	d, a := 0, 0
	for _, c := range s {
		if isDigit(c) {
			d++
		} else if isAlpha(c) {
			a++
		}
	}
	return d > 0 && a > 0
}

// findURLPassword finds a URL that carries a password: scheme://user:secret@host.
// The value found is the password alone.
func findURLPassword(s []byte) (start, end int, ok bool) {
	for from := 0; from < len(s); {
		i := index(s[from:], "://")
		if i < 0 {
			return 0, 0, false
		}
		i += from
		from = i + 3
		if !isAlnum(at(s, i-1)) {
			continue
		}
		colon, sign := 0, 0
		for j := from; j < len(s) && j < from+512; j++ {
			c := s[j]
			if c <= ' ' || c == '/' || c == '?' || c == '#' || c == '"' || c == '<' || c == '>' || c == '\\' {
				break
			}
			if c == ':' && colon == 0 {
				colon = j
			}
			if c == '@' {
				sign = j
			}
		}
		if colon == 0 || sign <= colon+1 || !(isWord(at(s, sign+1)) || at(s, sign+1) == '[') {
			continue
		}
		if placeholder(s[colon+1 : sign]) {
			continue
		}
		return colon + 1, sign, true
	}
	return 0, 0, false
}

// placeholder reports whether a password is a stand-in: ***, $PASSWORD,
// {password}, [redacted].
func placeholder(p []byte) bool {
	switch p[0] {
	case '$', '{', '[', '*', '<', '%':
		return p[0] != '%' || has(p, 0, "%s") || has(p, 0, "%v") || has(p, 0, "%(")
	}
	for _, n := range [...]string{"password", "pass", "xxxx", "xxxxx", "secret", "redacted", "PASSWORD"} {
		if string(p) == n {
			return true
		}
	}
	return false
}
