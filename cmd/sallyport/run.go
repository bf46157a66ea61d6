package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// An env is all that a command has of the outside.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) (string, bool)
	reload         <-chan os.Signal // asks for a reload; nil never does
}

// The exit statuses of every command.
const (
	done     = 0 // did what was asked, and found nothing wrong
	found    = 1 // did what was asked, and found problems
	couldNot = 2 // could not do it
)

// errFound ends a command that has already told what it found.
var errFound = errors.New("problems were found")

// errTold ends a command that could not run and has already said why.
var errTold = errors.New("could not run")

// run does one command and returns its exit status.
func run(ctx context.Context, e env, args []string) int {
	askedVersion := false
	root := &cobra.Command{
		Use:   "sallyport",
		Short: "Guard an API by its own contract",
		Long: "Sallyport stands before an API and lets pass what the API's contract and your\n" +
			"policy allow, on the way in and on the way out.\n\n" +
			"  sallyport run --contract shop.yaml --upstream http://localhost:3000",
		SilenceErrors: true, // told below, in our own voice
		SilenceUsage:  true,
		// A bare "sallyport" prints the help, and an unknown word is a mistake.
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if askedVersion {
				return printVersion(e)
			}
			return cmd.Help()
		},
	}
	root.Flags().BoolVar(&askedVersion, "version", false, "print the version, as the command version does")
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	root.SetArgs(args)
	root.AddCommand(
		runCommand(e),
		checkCommand(e),
		demoCommand(e),
		explainCommand(e),
		configCommand(e),
		versionCommand(e),
	)
	root.SetHelpCommand(helpCommand())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return hinted{err, cmd.CommandPath() + " --help lists the flags"}
	})
	// A shell that completion does not know is a mistake as well.
	root.InitDefaultCompletionCmd(args...)
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Args, c.RunE = knownCommand, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return done
	case errors.Is(err, errFound):
		return found
	case errors.Is(err, errTold):
		return couldNot
	}
	e.complain(err)
	return couldNot
}
