package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"
)

// actAsBroker makes the test binary the broker itself, for tests of what a process does: exit codes, signals, files.
const actAsBroker = "BROKER_TEST_ACT"

func TestMain(m *testing.M) {
	if os.Getenv(actAsBroker) != "" {
		main()
	}
	os.Exit(m.Run())
}

// process is a broker in a process of its own.
type process struct {
	*exec.Cmd
	out, talk bytes.Buffer
}

// newProcess prepares one in dir with nothing in its environment but env.
func newProcess(ctx context.Context, t *testing.T, dir string, env []string, args ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.CommandContext(ctx, exe, args...)}
	p.Dir, p.Env, p.Stdout, p.Stderr = dir, append([]string{actAsBroker + "=1", "HOME=" + dir}, env...), &p.out, &p.talk
	p.WaitDelay = 5 * time.Second
	return p
}

// finish waits for the end and returns the exit code.
func (p *process) finish(t *testing.T) int {
	t.Helper()
	err := p.Wait()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return failed.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

// broker runs a command to its end.
func broker(t *testing.T, dir string, env []string, args ...string) (code int, out, talk string) {
	t.Helper()
	p := newProcess(t.Context(), t, dir, env, args...)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	code = p.finish(t)
	return code, p.out.String(), p.talk.String()
}
