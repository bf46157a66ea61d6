// Command sallyport guards APIs by their own contracts: a gateway, and the
// tools around it.
//
// main is signals and an exit status; everything else starts in run, which
// takes its streams as arguments. Exit status: 0 done, 1 found problems, 2
// could not run.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := context.WithCancel(context.Background())
	// Room for two, so that the second is not lost however soon it comes.
	asked := make(chan os.Signal, 2)
	signal.Notify(asked, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-asked
		stop()
		<-asked // at once, instead of waiting for the drain
		os.Exit(couldNot)
	}()
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	os.Exit(run(ctx, env{
		stdin:  os.Stdin,
		stdout: os.Stdout,
		stderr: os.Stderr,
		getenv: os.LookupEnv,
		reload: reload,
	}, os.Args[1:]))
}
