package classify

import "bytes"

// maxTrace bounds how much of a body is searched for traces: they stand at
// its beginning.
const maxTrace = 256 << 10

// StackTrace reports whether a body holds the stack trace of a program in
// Java, Kotlin or Scala, Python, Go, JavaScript, C#, PHP, Ruby, Rust or
// Elixir. It asks for the machine's form of a frame, so that prose about
// errors is none, and reads the escapes of JSON strings as what they stand
// for.
func StackTrace(body []byte) bool {
	s := body[:min(len(body), maxTrace)]
	return pythonTrace(s) || goTrace(s) || frames(s) || phpTrace(s) || rubyTrace(s) || rustTrace(s)
}

// ServerDetail reports whether a body tells of the server's insides: the
// error of a database or its driver, or a path of the server's file system in
// an error message. It is for the bodies of errors; an API about databases
// may well speak so elsewhere.
func ServerDetail(body []byte) bool {
	s := body[:min(len(body), maxTrace)]
	for _, d := range serverDetails {
		for from := 0; ; {
			i := index(s[from:], d.lit)
			if i < 0 {
				break
			}
			i += from
			from = i + len(d.lit)
			if isAlnum(d.lit[0]) && isAlnum(at(s, i-1)) && at(s, i-2) != '\\' { // but "\nORA-" begins a line
				continue
			}
			if d.then == nil || d.then(s, from) {
				return true
			}
		}
	}
	return false
}

// serverDetails are the phrases by which databases and drivers give
// themselves away. then looks at what follows, where the phrase alone could
// be prose.
var serverDetails = []struct {
	lit  string
	then func(s []byte, i int) bool
}{
	{"You have an error in your SQL syntax", nil},
	{"check the manual that corresponds to your My", nil},
	{"SQLSTATE[", nil},
	{"SQLSTATE ", func(s []byte, i int) bool { return i+5 <= len(s) && allUpperNum(s[i:i+5]) }},
	{"ORA-", func(s []byte, i int) bool { return i+6 <= len(s) && digits(s[i:i+5]) && s[i+5] == ':' }},
	{"syntax error at or near ", quoted},
	{"ERROR: relation ", quoted}, {"pq: ", nil}, {"PG::", nil}, {"psycopg2.", nil}, {"org.postgresql.", nil},
	{"violates unique constraint ", quoted}, {"violates foreign key constraint ", quoted},
	{"violates not-null constraint", nil}, {"violates check constraint ", quoted},
	{"Unclosed quotation mark after the character string", nil},
	{"Incorrect syntax near ", quoted},
	{"ODBC SQL Server Driver", nil}, {"OLE DB Provider for", nil}, {"System.Data.SqlClient", nil},
	{"Microsoft.EntityFrameworkCore", nil},
	{"sqlite3.OperationalError", nil}, {"SQLite3::", nil}, {"SQLITE_ERROR", nil}, {"SQLITE_CONSTRAINT", nil},
	{"UNIQUE constraint failed: ", nil}, {"FOREIGN KEY constraint failed", nil},
	{"Unknown column ", quoted}, {"Duplicate entry ", quoted},
	{"com.mysql.", nil}, {"java.sql.SQL", nil}, {"org.hibernate.", nil}, {"Sequelize", func(s []byte, i int) bool { return has(s, i, "DatabaseError") || has(s, i, "UniqueConstraintError") }},
	{"PrismaClient", func(s []byte, i int) bool { return has(s, i, "KnownRequestError") || has(s, i, "ValidationError") }},
	{"ActiveRecord::", nil}, {"Doctrine\\DBAL", nil}, {"Doctrine\\\\DBAL", nil},
	{"E11000 duplicate key error", nil}, {"MongoServerError", nil}, {"MongoError", nil},
	{"WRONGTYPE Operation against a key", nil}, {"ECONNREFUSED ", func(s []byte, i int) bool { return isAlnum(at(s, i)) || at(s, i) == ':' }},
	{"dial tcp ", func(s []byte, i int) bool { return isDigit(at(s, i)) || at(s, i) == '[' || isAlpha(at(s, i)) }},
	{"/var/www/", fileIn}, {"/usr/src/app/", fileIn}, {"/usr/local/lib/", fileIn}, {"/node_modules/", fileIn},
	{"/site-packages/", fileIn}, {"C:\\inetpub\\", nil}, {"C:\\\\inetpub\\\\", nil},
}

// quoted reports whether s[i] opens a quotation, as in the messages of
// databases.
func quoted(s []byte, i int) bool {
	if at(s, i) == '\\' {
		i++
	}
	c := at(s, i)
	return c == '"' || c == '\'' || c == '`'
}

// fileIn reports whether the path at s[i] goes on to a file of source.
func fileIn(s []byte, i int) bool {
	for j := i; j < len(s) && j < i+256; j++ {
		switch c := s[j]; {
		case isAlnum(c) || c == '/' || c == '_' || c == '-':
		case c == '.':
			for _, x := range [...]string{".php", ".py", ".js", ".ts", ".mjs", ".cjs", ".rb", ".go", ".java", ".cs", ".so"} {
				if has(s, j, x) && !isWord(at(s, j+len(x))) {
					return true
				}
			}
		default:
			return false
		}
	}
	return false
}

func allUpperNum(s []byte) bool {
	for _, c := range s {
		if !isUpperNum(c) {
			return false
		}
	}
	return true
}

func pythonTrace(s []byte) bool {
	if index(s, "Traceback (most recent call last)") >= 0 {
		return true
	}
	for from := 0; ; {
		i := index(s[from:], "File ")
		if i < 0 {
			return false
		}
		from += i + 5
		if !quoted(s, from) {
			continue
		}
		line := s[from:min(len(s), from+512)]
		if j := index(line, ", line "); j > 0 && isDigit(at(line, j+7)) {
			for k := j + 7; ; k++ {
				if !isDigit(at(line, k)) {
					if has(line, k, ", in ") {
						return true
					}
					break
				}
			}
		}
	}
}

func goTrace(s []byte) bool {
	for from := 0; ; {
		i := index(s[from:], "goroutine ")
		if i < 0 {
			break
		}
		from += i + 10
		j := from
		for isDigit(at(s, j)) {
			j++
		}
		if j > from && has(s, j, " [") {
			return true
		}
	}
	for from := 0; ; {
		i := index(s[from:], ".go:")
		if i < 0 {
			return false
		}
		from += i + 4
		j := from
		for isDigit(at(s, j)) {
			j++
		}
		if j > from && has(s, j, " +0x") {
			return true
		}
	}
}

// frames finds the frames that begin with "at": of the JVM, of .NET and of
// JavaScript.
func frames(s []byte) bool {
	bare := 0 // .NET frames without a file, of which one alone proves nothing
	for from := 0; ; {
		i := index(s[from:], "at ")
		if i < 0 {
			return false
		}
		i += from
		from = i + 3
		if !lineStart(s, i) {
			continue
		}
		line := s[from:min(len(s), from+512)]
		if j := lineEnd(line); j >= 0 {
			line = line[:j]
		}
		switch {
		case index(line, ":line ") > 0 && isDigit(at(line, index(line, ":line ")+6)):
			return true // in C:\app\Orders.cs:line 12
		case jvmFrame(line), scriptFrame(line):
			return true
		case dotnetFrame(line):
			if bare++; bare == 2 {
				return true
			}
		}
	}
}

// lineStart reports whether s[i] begins a line, white space and JSON's
// escapes of it aside. It asks for indentation, as prose may begin with "at".
func lineStart(s []byte, i int) bool {
	indent := 0
	for i > 0 {
		c := s[i-1]
		switch {
		case c == ' ' || c == '\t':
			indent++
			i--
		case c == 't' && i > 1 && s[i-2] == '\\':
			indent++
			i -= 2
		case c == '\n' || c == '"' || c == '>' || c == 'n' && i > 1 && s[i-2] == '\\':
			return indent > 0 || c == '"' || c == '>'
		default:
			return false
		}
	}
	return indent > 0
}

// lineEnd returns where the line ends, or -1.
func lineEnd(s []byte) int {
	for i, c := range s {
		if c == '\n' || c == '<' && has(s, i, "<br") || c == '\\' && (at(s, i+1) == 'n' || at(s, i+1) == 'r') || c == '\r' {
			return i
		}
	}
	return -1
}

// jvmFrame reads com.acme.Shop.order(Shop.java:12), (Native Method) and
// (Unknown Source).
func jvmFrame(line []byte) bool {
	open := bytes.IndexByte(line, '(')
	if open <= 0 {
		return false
	}
	dots := 0
	for _, c := range line[:open] {
		if c == '.' {
			dots++
		} else if !isWord(c) && c != '$' && c != '<' && c != '>' && c != '/' && c != '@' && c != '-' {
			return false
		}
	}
	if dots == 0 {
		return false
	}
	in := line[open+1:]
	if has(in, 0, "Native Method)") || has(in, 0, "Unknown Source)") {
		return true
	}
	for _, x := range [...]string{".java:", ".kt:", ".scala:", ".groovy:", ".clj:"} {
		if i := index(in, x); i > 0 && i < 128 && isDigit(at(in, i+len(x))) {
			return true
		}
	}
	return false
}

// scriptFrame reads order (/app/shop.js:10:5), /app/shop.js:10:5 and
// process (node:internal/process:95:5).
func scriptFrame(line []byte) bool {
	end := len(line)
	for end > 0 && (line[end-1] == ')' || line[end-1] == ' ' || line[end-1] == '"' || line[end-1] == ',') {
		end--
	}
	// A JSON string may end the line.
	for i := 1; i < end; i++ {
		if line[i] != ':' || !isDigit(at(line, i+1)) {
			continue
		}
		j := i + 1
		for isDigit(at(line, j)) {
			j++
		}
		if at(line, j) != ':' || !isDigit(at(line, j+1)) {
			continue
		}
		if c := at(line, i-1); !isWord(c) && c != '>' {
			continue
		}
		place := line[:i]
		if k := bytes.LastIndexByte(place, '('); k >= 0 {
			place = place[k+1:]
		}
		if index(place, "/") >= 0 || index(place, "\\") >= 0 || has(place, 0, "node:") || has(place, 0, "<anonymous>") {
			return true
		}
	}
	return false
}

// dotnetFrame reads Shop.Orders.Get(Int32 id), with at least two dots.
func dotnetFrame(line []byte) bool {
	open := bytes.IndexByte(line, '(')
	if open <= 0 || bytes.IndexByte(line[open:], ')') < 0 {
		return false
	}
	dots := 0
	for _, c := range line[:open] {
		if c == '.' {
			dots++
		} else if !isWord(c) && c != '`' && c != '<' && c != '>' && c != '[' && c != ']' && c != '+' {
			return false
		}
	}
	return dots >= 2
}

func phpTrace(s []byte) bool {
	for from := 0; ; {
		i := index(s[from:], "#0 ")
		if i < 0 {
			break
		}
		from += i + 3
		line := s[from:min(len(s), from+512)]
		if has(line, 0, "{main}") || has(line, 0, "[internal function]") {
			return true
		}
		if j := index(line, ".php("); j > 0 && isDigit(at(line, j+5)) {
			return true
		}
	}
	for from := 0; ; {
		i := index(s[from:], ".php")
		if i < 0 {
			return false
		}
		from += i + 4
		k := from
		for _, tag := range [...]string{"</b>", "</B>", "\\u003C/b\\u003E", "\\u003c/b\\u003e", "<\\/b>"} {
			if has(s, k, tag) {
				k += len(tag)
			}
		}
		if has(s, k, " on line ") && (isDigit(at(s, k+9)) || at(s, k+9) == '<' || at(s, k+9) == '\\') {
			return true
		}
	}
}

func rubyTrace(s []byte) bool {
	for _, x := range [...]string{".rb:", ".erb:", ".ex:", ".exs:"} {
		for from := 0; ; {
			i := index(s[from:], x)
			if i < 0 {
				break
			}
			from += i + len(x)
			j := from
			for isDigit(at(s, j)) {
				j++
			}
			if j == from {
				continue
			}
			if has(s, j, ":in `") || has(s, j, ":in '") || has(s, j, ": ") && x[1] == 'e' && x[2] == 'x' && bytes.IndexByte(s[max(0, from-128):from], '(') >= 0 {
				return true
			}
		}
	}
	return false
}

func rustTrace(s []byte) bool {
	if i := index(s, "' panicked at "); i > 0 && index(s[max(0, i-80):i], "thread '") >= 0 {
		return true
	}
	i := index(s, "stack backtrace:")
	return i >= 0 && index(s[i:min(len(s), i+256)], "0: ") > 0
}
