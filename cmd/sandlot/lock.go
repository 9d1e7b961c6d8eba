package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/linux"
)

// errRunning is returned by lock when another process holds the data folder.
var errRunning = errors.New("another sandlot runs on this data folder")

// holder is the process that holds a data folder, as the lock file names it. Its id and start time together are never
// used twice.
type holder struct {
	PID     int    `json:"pid"`
	Started uint64 `json:"started"` // clock ticks since boot
}

// lock makes this process the only server of a data folder. It makes the folder, for this user alone, if it is
// missing. The lock ends with the process, or when the file is closed. Error: errRunning.
//
// It is a record lock of the open file, because a reader can ask for that kind without taking it.
func lock(data string) (_ *os.File, err error) {
	if err := privateFolder(data); err != nil {
		return nil, err
	}
	path := filepath.Join(data, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w; choose another with --data", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &whole)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return nil, fmt.Errorf("%s: %w", data, errRunning)
	} else if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	self := holder{PID: os.Getpid()}
	if self.Started, err = startOf(self.PID); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(self)
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(raw, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := os.Remove(statePath(data)); err != nil && !errors.Is(err, fs.ErrNotExist) { // an earlier server has left it
		return nil, err
	}
	return f, nil
}

// heldBy returns the process that holds a data folder, without taking the lock or hindering others to. Its id is 0
// for a moment while the process starts. held is false when no server runs.
func heldBy(data string) (h holder, held bool, err error) {
	f, err := os.Open(filepath.Join(data, lockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return h, false, nil
	} else if err != nil {
		return h, false, err
	}
	defer f.Close() // only read from
	asked := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &asked); err != nil {
		return h, false, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	if asked.Type == unix.F_UNLCK {
		return h, false, nil
	}
	raw, err := io.ReadAll(io.LimitReader(f, 1<<10))
	if err == nil && len(raw) > 0 {
		err = json.Unmarshal(raw, &h)
	}
	if err != nil {
		return h, true, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return h, true, nil
}

// end asks the process to end by SIGTERM and waits for it.
func (h holder) end(within time.Duration) error {
	fd, err := unix.PidfdOpen(h.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	} else if err != nil {
		return fmt.Errorf("process %d: %w", h.PID, err)
	}
	defer unix.Close(fd) // nothing to lose
	// The id may belong to another process by now, or to another pid namespace.
	if started, err := startOf(h.PID); err != nil || started != h.Started {
		return nil //nolint:nilerr // one that is not there any more has ended
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0); errors.Is(err, unix.ESRCH) {
		return nil
	} else if err != nil {
		return fmt.Errorf("process %d: %w", h.PID, err)
	}
	deadline := time.Now().Add(within)
	n, err := linux.RetryValue(func() (int, error) {
		left := max(time.Until(deadline), 0)
		return unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds()))
	})
	if err == nil && n == 0 {
		err = fmt.Errorf("process %d did not end within %v; look at its log, or send it SIGKILL", h.PID, within)
	}
	return err
}

// startOf returns when a process was started, in clock ticks since boot. Error: fs.ErrNotExist if there is none.
func startOf(pid int) (uint64, error) {
	path := fmt.Sprintf("/proc/%d/stat", pid)
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:]) // the name in front may contain anything
	if len(fields) < 20 {
		return 0, fmt.Errorf("%s has %d fields", path, len(fields))
	}
	return strconv.ParseUint(string(fields[19]), 10, 64)
}
