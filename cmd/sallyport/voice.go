package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// This file is the voice of the command: all that it says to a person beside
// the results, which go to stdout. Talk goes to stderr, one thought a line,
// after the command's name, in lower case and without a full stop.

// say tells what is going on.
func (e env) say(format string, a ...any) {
	fmt.Fprintf(e.stderr, "sallyport: "+format+"\n", a...)
}

// hint says what to do about what was just said.
func (e env) hint(format string, a ...any) {
	fmt.Fprintf(e.stderr, "\thint: "+format+"\n", a...)
}

// complain tells an error. The lines of an error that joins several are told
// as they are: each of them names its own place.
func (e env) complain(err error) {
	msg := strings.TrimSpace(err.Error())
	if first, rest, ok := strings.Cut(msg, "\n"); ok {
		e.say("%s", first)
		fmt.Fprintln(e.stderr, rest)
		return
	}
	e.say("%s", msg)
	var h hinted
	switch {
	case errors.As(err, &h):
		e.hint("%s", h.hint)
	case errors.Is(err, syscall.EADDRINUSE):
		e.hint("stop what listens there, or choose another address")
	}
}

// many spells a number with its noun: "1 error", "2 errors".
func many(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
