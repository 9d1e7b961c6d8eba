package git

import (
	"context"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
)

// Credentials of one call. They are used for HTTP when both are set.
type Credentials struct {
	Username, Password string
}

func (c Credentials) given() bool { return c.Username != "" && c.Password != "" }

// command is one call of git.
type command struct {
	dir     string // repository; "" runs in the working folder
	args    []string
	env     map[string]string
	input   []byte                // standard input; nil is empty
	output  func(io.Reader) error // reads standard output; nil keeps up to maxOutput bytes of it
	network bool                  // ends with its context; others are finished once begun

	creds Credentials
	url   string // that creds are for
}

// Limits in bytes of what is kept of git's words.
const (
	maxOutput = 8 << 20
	maxErrors = 16 << 10
)

// patience is how long a local change may go on when its caller has left. Without a bound, git would wait for ever
// where a repository holds a pipe.
const patience = 5 * time.Minute

// graceTime is the time that git has between SIGTERM and SIGKILL to remove its lock files.
const graceTime = 5 * time.Second

// drainTime bounds how long output is waited for after git's own end: some helper may still hold the pipe.
const drainTime = 200 * time.Millisecond

// settings hold for every call: no upkeep that would outlive it, no advice, repositories of other users allowed.
var settings = []string{
	"-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "safe.directory=*", "-c", "advice.detachedHead=false",
	"-c", "core.quotePath=false", "-c", "color.ui=false", "-c", "color.advice=false",
}

// helper is a credential helper that asks on descriptor 3, a socket with answer at its other end. Only git and its
// children have the socket, because a socket cannot be opened through /proc. An answer is one message, which dd reads
// in one call, so several helpers may ask at the same time.
const helper = `!f() { test "$1" = get && echo >&3 && dd bs=65536 count=1 <&3 2>/dev/null; }; f`

// maxCredentials bounds an answer to helper, in bytes.
const maxCredentials = 64 << 10

// result is how a command ended; code is git's exit code.
type result struct {
	code   int
	stdout []byte // nil where command.output took it
	stderr []byte
}

// runner runs the git program.
type runner struct {
	processes *process.Manager
	patience  time.Duration // of a local change whose caller has left
}

// run runs c to its end. A nil error says that it ran; git's own failure is result.code. Errors: ErrNoGit,
// GIT_REPO_NOT_FOUND when the folder is not there, the context's cause, and c.output's.
func (r runner) run(ctx context.Context, c command) (result, error) {
	argv, secret, err := c.argv()
	if err != nil {
		return result{}, err
	}
	var descriptor3 []*os.File
	if secret != nil {
		ours, theirs, err := sockets()
		if err != nil {
			return result{}, fault.System("start git", err)
		}
		var answering sync.WaitGroup
		answering.Go(func() { answer(ours, secret) })
		defer answering.Wait()
		defer ours.Close()
		defer theirs.Close()
		descriptor3 = append(descriptor3, theirs)
	}
	spec := process.Spec{Argv: argv, Dir: c.dir, Env: r.environ(&c), Linger: drainTime}
	p, err := r.processes.StartPiped(spec, descriptor3...)
	if err != nil {
		return result{}, startError(c, err)
	}
	defer p.Close()
	return c.follow(ctx, p, r.patience)
}

// follow gives git its input and reads what it says until its end. When the caller has left, a local change has
// patience to be finished, and all else ends.
func (c *command) follow(ctx context.Context, p *process.Piped, patience time.Duration) (r result, err error) {
	if c.network || c.output != nil {
		patience = 0
	}
	var cut atomic.Bool
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-p.Done():
		case <-time.After(patience):
			cut.Store(true)
			p.End(graceTime)
		}
	})
	defer stop()
	var others sync.WaitGroup // the other two streams
	others.Go(func() { r.stderr = tail(p.Stderr) })
	others.Go(func() {
		_, _ = p.Stdin.Write(c.input) // git may end before it has read all
		_ = p.Stdin.Close()
	})
	if c.output == nil {
		r.stdout, err = io.ReadAll(io.LimitReader(p.Stdout, maxOutput))
	} else if err = c.output(p.Stdout); err != nil {
		p.End(graceTime)
	}
	_, _ = io.Copy(io.Discard, p.Stdout)
	others.Wait()
	r.code = p.Result().ExitCode
	if cause := context.Cause(ctx); cause != nil && (cut.Load() || c.network || c.output != nil) {
		return r, cause
	}
	return r, err
}

// tail reads r to its end and keeps the last maxErrors bytes.
func tail(r io.Reader) []byte {
	var kept []byte
	buf := make([]byte, 4<<10)
	for {
		n, err := r.Read(buf)
		kept = append(kept, buf[:n]...)
		if len(kept) > 2*maxErrors {
			kept = append(kept[:0], kept[len(kept)-maxErrors:]...)
		}
		if err != nil {
			return kept[max(0, len(kept)-maxErrors):]
		}
	}
}

// answer writes secret to everybody that asks, until asking is closed.
func answer(asking *os.File, secret []byte) {
	var question [16]byte
	for {
		if _, err := asking.Read(question[:]); err != nil {
			return
		}
		if _, err := asking.Write(secret); err != nil {
			return
		}
	}
}

// argv returns git's command line and the answer on descriptor 3, which is nil without credentials.
func (c *command) argv() (argv []string, secret []byte, err error) {
	argv = append([]string{"git"}, settings...)
	if c.creds.given() {
		scope, err := scope(c.url)
		if err != nil {
			return nil, nil, err
		}
		if strings.ContainsAny(c.creds.Username+c.creds.Password, "\n\r\x00") {
			return nil, nil, fault.New(fault.Invalid, "username and password cannot hold line ends or NUL")
		}
		argv = append(argv, "-c", "credential.helper=")
		if scope != "" {
			argv = append(argv, "-c", "credential."+scope+".helper="+helper)
			secret = []byte("username=" + c.creds.Username + "\npassword=" + c.creds.Password + "\n")
			if len(secret) > maxCredentials {
				return nil, nil, fault.Newf(fault.Invalid, "username and password have over %d bytes", maxCredentials)
			}
		}
	}
	return append(argv, c.args...), secret, nil
}

// scope is the part of a URL that credentials are for, "" where there is none: local paths, SSH.
func scope(raw string) (string, error) {
	if !strings.HasPrefix(raw, "http://") && !strings.HasPrefix(raw, "https://") {
		return "", nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return "", fault.Newf(fault.Invalid, "the URL %q cannot be read", redact(raw, Credentials{}))
	}
	return u.Scheme + "://" + u.Host, nil
}

func (r runner) environ(c *command) map[string]string {
	env := map[string]string{
		"LC_ALL": "C", "LANGUAGE": "C",
		"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "SSH_ASKPASS": "", "SSH_ASKPASS_REQUIRE": "never",
		"GIT_EDITOR": ":", "GIT_PAGER": "cat", "GIT_OPTIONAL_LOCKS": "0", "GIT_LITERAL_PATHSPECS": "1",
	}
	if c.dir != "" {
		env["GIT_CEILING_DIRECTORIES"] = filepath.Dir(absolute(r.processes, c.dir)) // no discovery of parents
	}
	for k, v := range c.env {
		env[k] = v
	}
	return env
}

func startError(c command, err error) error {
	switch {
	case fault.KindOf(err) != fault.NotFound:
		return err
	case fault.CodeOf(err) == "":
		return ErrNoGit
	}
	return fault.Codef(fault.NotFound, codeNoRepo, "there is no git repository at %s: no such folder", c.dir)
}

// do runs c and makes an error of git's failure.
func (r runner) do(ctx context.Context, c command) (result, error) {
	res, err := r.run(ctx, c)
	if err != nil {
		return res, err
	}
	return res, c.failure(res)
}

// sockets returns the two ends of a connection that keeps messages apart.
func sockets() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	if err = unix.SetNonblock(fds[0], true); err != nil { // ours alone: Close ends a Read then
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "git"), os.NewFile(uintptr(fds[1]), "git"), nil
}
