package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/sandlot-dev/sandlot/internal/version"
)

// readyEnv names the descriptor on which a server in the background says that it is ready.
const readyEnv = "SANDLOT_READY_FD"

func tellReady() error {
	if os.Getenv(readyEnv) == "" { // this server was not started by up --detach
		return nil
	}
	f := os.NewFile(3, "ready")
	_, err := f.WriteString("ready")
	return errors.Join(err, f.Close())
}

// background starts this program again, detached, and waits until it is ready or has ended. If ctx ends first,
// background ends the program.
func background(ctx context.Context, cfg config, stdout io.Writer) error {
	if s, running, err := readState(cfg.Data); err != nil {
		return err
	} else if running && s.Version == "" {
		_, err := fmt.Fprintf(stdout, "sandlot is being started already (process %d)\n", s.PID)
		return err
	} else if running {
		_, err := fmt.Fprintf(stdout, "sandlot runs already (process %d, %s)\n", s.PID, s.Version)
		return err
	}
	if err := privateFolder(cfg.Data); err != nil {
		return err
	}
	logPath := filepath.Join(cfg.Data, logFile)
	log, err := openLog(logPath)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own descriptor
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close() // only read from
	args := slices.DeleteFunc(slices.Clone(os.Args[1:]), func(a string) bool {
		return a == "--detach" || a == "--detach=true"
	})
	child := exec.CommandContext(context.WithoutCancel(ctx), self, args...)
	child.Stdout, child.Stderr, child.ExtraFiles, child.Dir = log, log, []*os.File{w}, "/"
	child.Env = append(os.Environ(), readyEnv+"=3")
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	began := time.Now()
	if err := errors.Join(child.Start(), w.Close()); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Unix(1, 0)) })() // a pipe always accepts a deadline
	word, err := io.ReadAll(r)
	if ctx.Err() != nil {
		return errors.Join(errors.New("interrupted: sandlot was not started"), endChild(child, cfg.Drain+10*time.Second))
	}
	if err != nil {
		return err
	}
	if string(word) != "ready" {
		_ = child.Wait() // its log says why
		return fmt.Errorf("sandlot did not start; the end of %s:\n%s", logPath, lastLines(logPath, 2000))
	}
	_, err = fmt.Fprintf(stdout, "sandlot is up (process %d, %s, after %v)\npreviews: %s\n",
		child.Process.Pid, version.String(), time.Since(began).Round(time.Millisecond), resolvePreviews(ctx, cfg))
	return errors.Join(err, child.Process.Release())
}

// endChild ends a server that was starting, and waits for it.
func endChild(child *exec.Cmd, grace time.Duration) error {
	err := child.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(grace, func() { _ = child.Process.Kill() }) // an error means that it has just ended
	defer kill.Stop()
	_ = child.Wait() // it may end in any way
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

func lastLines(path string, most int64) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close() // only read from
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-most), io.SeekStart) // if it fails, the whole log is shown
	}
	raw, _ := io.ReadAll(f)
	return string(raw)
}
