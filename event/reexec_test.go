package event_test

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
)

// reexec returns a command that runs one test of this binary alone.
func reexec(t *testing.T, test, env string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), env)
	return cmd
}

// ignoreXFSZ makes a write beyond RLIMIT_FSIZE an error instead of the end.
func ignoreXFSZ() { signal.Ignore(syscall.SIGXFSZ) }
