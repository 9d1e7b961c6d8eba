package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// openedLog returns a writer of small files, and the two descriptors that it has, as stdout and stderr are.
func openedLog(t *testing.T, size int64, kept int) (w *logWriter, path string, fds [2]int) {
	t.Helper()
	path = filepath.Join(t.TempDir(), logFile)
	f, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range fds {
		if fds[i], err = unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fds[i]) })
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if w = newLogWriter(path, size, kept, fds[:]...); w == nil {
		t.Fatal("the log is not taken for ours")
	}
	return w, path, fds
}

func logs(t *testing.T, path string) (names []string, all []byte) {
	t.Helper()
	names, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range slices.Backward(names) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data...)
		if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v, %v", name, st.Mode(), err)
		}
	}
	return names, all
}

func TestLogIsBounded(t *testing.T) {
	w, path, fds := openedLog(t, 1000, 2)
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for i := range 200 {
				if _, err := fmt.Fprintf(w, "%099d\n", i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if _, err := fmt.Fprint(w, strings.Repeat("x", 950), "\n"); err != nil {
		t.Error(err)
	}
	for i, fd := range fds { // what a panic writes comes to the newest file
		if _, err := unix.Write(fd, fmt.Appendf(nil, "direct %d\n", i)); err != nil {
			t.Error(err)
		}
	}
	names, _ := logs(t, path)
	if want := []string{path, path + ".1", path + ".2"}; !slices.Equal(names, want) {
		t.Errorf("files are %v, want %v", names, want)
	}
	newest, err := os.ReadFile(path)
	if err != nil || !bytes.HasSuffix(newest, []byte("x\ndirect 0\ndirect 1\n")) || len(newest) > 1000 {
		t.Errorf("the newest file is %q, %v", newest, err)
	}
	for _, name := range names[1:] {
		if data, err := os.ReadFile(name); err != nil || len(data) != 1000 {
			t.Errorf("%s has %d bytes, %v; want 1000", name, len(data), err)
		}
	}
}

func TestLogLosesNothingWhileItIsRotated(t *testing.T) {
	w, path, _ := openedLog(t, 1000, 9)
	var want bytes.Buffer
	for i := range 80 {
		line := fmt.Sprintf("line %090d\n", i)
		want.WriteString(line)
		if n, err := w.Write([]byte(line)); n != len(line) || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
	}
	if _, all := logs(t, path); !bytes.Equal(all, want.Bytes()) {
		t.Errorf("%d bytes are left of %d", len(all), want.Len())
	}
}

func TestLogGoesOnWhereItCannotBeRotated(t *testing.T) {
	w, path, _ := openedLog(t, 100, 1)
	if err := os.Mkdir(path+".1", 0o700); err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("y", 79) + "\n"
	for range 4 {
		if _, err := w.Write([]byte(line)); err != nil {
			t.Error(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil || strings.Count(string(data), line) != 4 || !strings.Contains(string(data), "cannot be rotated") {
		t.Errorf("%q, %v", data, err)
	}
}

func TestLogThatWasMovedIsMadeAgain(t *testing.T) {
	w, path, _ := openedLog(t, 100, 1)
	if newLogWriter(path+".other", 100, 1, 1, 2) != nil {
		t.Error("a log that does not exist is taken for ours")
	}
	if _, err := w.Write([]byte("before\n")); err != nil {
		t.Error(err)
	}
	if err := os.Rename(path, path+"-archived"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(strings.Repeat("z", 98) + "\n")); err != nil {
		t.Error(err)
	}
	if data, err := os.ReadFile(path); err != nil || len(data) != 99 {
		t.Errorf("%q, %v", data, err)
	}
	if _, err := os.Stat(path + ".1"); err == nil {
		t.Error("what is not the log was rotated")
	}
}
