package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sallyport": main,
	})
}

// TestScripts reads as the manual: one script for each command.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
	})
}

func TestNearest(t *testing.T) {
	for typed, want := range map[string]string{
		"authz.owner":    "authz.owner",
		"authz.ownr":     "authz.owner",
		"owner":          "authz.owner",
		"AUTHN.EXPIRED":  "authn.expired",
		"expired":        "authn.expired",
		"framing":        "wire.framing",
		"zzz":            "",
		"":               "",
		"limit.rates":    "limit.rate",
		"response_owner": "authz.response_owner",
	} {
		if got := nearest(typed); got != want {
			t.Errorf("nearest(%q) = %q, want %q", typed, got, want)
		}
	}
}
