package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/linux"
)

// The log of a server in the background: at most logKept+1 files of logSize bytes and one line.
const (
	logSize = 16 << 20
	logKept = 4
)

// logWriter writes to a log file through the descriptors that the process has open on it, stdout and stderr, and
// moves both to a new file when the old one is full. So what a panic or a library writes goes to the newest file too.
// Older files are path.1, path.2 and so on; the oldest is removed. It is safe for concurrent use.
//
// The library lumberjack does not fit: it writes to a file of its own, so that stderr stays on a renamed and later
// removed file, and its goroutine never ends.
type logWriter struct {
	path string
	size int64 // of a full file, in bytes
	kept int   // files beside the newest
	fds  []int // all on the newest file; the first is written to

	mu      sync.Mutex
	written int64 // to the newest file
}

// newLogWriter returns the writer for a log that fds are open on. It returns nil when they are on another file.
func newLogWriter(path string, size int64, kept int, fds ...int) *logWriter {
	w := &logWriter{path: path, size: size, kept: kept, fds: fds}
	var open unix.Stat_t
	if !w.current() || unix.Fstat(fds[0], &open) != nil {
		return nil
	}
	w.written = open.Size
	return w
}

// Write implements io.Writer. A log that cannot be rotated, on a full disk for instance, goes on in the same file.
func (w *logWriter) Write(p []byte) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.written > 0 && w.written+int64(len(p)) > w.size {
		if err := w.rotate(); err != nil {
			line := fmt.Sprintf("time=%s level=WARN msg=\"the log cannot be rotated; it goes on\" err=%q\n",
				time.Now().Format(time.RFC3339), err)
			_, _ = unix.Write(w.fds[0], []byte(line)) // there is no other place to report it
		}
		w.written = 0 // also after a failure: the next attempt comes after as many bytes again
	}
	for n < len(p) && err == nil {
		var m int
		m, err = linux.RetryValue(func() (int, error) { return unix.Write(w.fds[0], p[n:]) })
		n += max(m, 0)
	}
	w.written += int64(n)
	return n, err
}

// current reports whether the descriptors are on the file of that path. They are not if somebody else has moved it.
func (w *logWriter) current() bool {
	var there unix.Stat_t
	if unix.Stat(w.path, &there) != nil {
		return false
	}
	for _, fd := range w.fds {
		var open unix.Stat_t
		if unix.Fstat(fd, &open) != nil || open.Ino != there.Ino || open.Dev != there.Dev {
			return false
		}
	}
	return true
}

// rotate renames the files and then moves the descriptors. If it is interrupted in between, one number has no file;
// the next rotation fills it.
func (w *logWriter) rotate() error {
	if w.current() {
		older := func(n int) string { return fmt.Sprintf("%s.%d", w.path, n) }
		for n := w.kept; n > 0; n-- {
			from := w.path
			if n > 1 {
				from = older(n - 1)
			}
			if err := os.Rename(from, older(n)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	f, err := openLog(w.path)
	if err != nil {
		return err
	}
	for _, fd := range w.fds {
		err = errors.Join(err, unix.Dup3(int(f.Fd()), fd, 0))
	}
	return errors.Join(err, f.Close())
}

// openLog opens a log for appending.
func openLog(path string) (*os.File, error) {
	return os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}
