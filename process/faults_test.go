package process_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/process"
)

var none *[1 << 16]int // stays nil

// TestFaultsHelper is the program that others send signals to.
func TestFaultsHelper(t *testing.T) {
	if os.Getenv("FAULTS_HELPER") == "" {
		t.Skip("a part of TestSentFaultsEndNothing")
	}
	process.IgnoreFaults()
	fmt.Fprintln(os.Stdout, "ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fault := func() (err error) {
			defer func() { err, _ = recover().(error) }()
			none[len(lines.Text())]++
			return nil
		}()
		var failed runtime.Error
		if !errors.As(fault, &failed) {
			t.Errorf("a fault of its own gave %v, want a panic", fault)
		}
		out, err := exec.Command("sh", "-c", "grep SigIgn /proc/self/status; kill -SEGV $$").Output()
		fmt.Fprintf(os.Stdout, "alive %s %v\n", strings.TrimSpace(string(out)), err)
	}
}

// TestSentFaultsEndNothing sends a program that ignores faults every signal of one, by kill and by sigqueue. Its own
// faults are panics, and its children have none of that.
func TestSentFaultsEndNothing(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestFaultsHelper$", "-test.v")
	cmd.Env = append(os.Environ(), "FAULTS_HELPER=1")
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	cmd.Stderr = os.Stderr
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	next := func(want string) string {
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), want) {
				return lines.Text()
			}
		}
		t.Fatalf("it has ended before %q: %v", want, cmd.Wait())
		return ""
	}
	next("ready")
	ignored, err := exec.Command("grep", "SigIgn", "/proc/self/status").Output()
	if err != nil {
		t.Fatal(err)
	}
	inherited := strings.TrimSpace(string(ignored)) // what this program was started with
	for _, sig := range []syscall.Signal{
		unix.SIGQUIT, unix.SIGABRT, unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP,
		unix.SIGSYS, unix.SIGSTKFLT, unix.SIGPIPE, unix.SIGXCPU, unix.SIGXFSZ,
	} {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		var info [128]byte // a siginfo_t
		*(*int32)(unsafe.Pointer(&info[0])) = int32(sig)
		*(*int32)(unsafe.Pointer(&info[8])) = -1 // SI_QUEUE
		_, _, errno := unix.RawSyscall(unix.SYS_RT_SIGQUEUEINFO,
			uintptr(cmd.Process.Pid), uintptr(sig), uintptr(unsafe.Pointer(&info)))
		if errno != 0 {
			t.Fatal(errno)
		}
		if _, err := in.Write([]byte("go on\n")); err != nil {
			t.Fatal(err)
		}
		want := "alive " + inherited + " signal: segmentation fault"
		if got := strings.TrimSuffix(next("alive"), " (core dumped)"); got != want {
			t.Errorf("after %v: a child has %q; this program ignores %s", sig, got, inherited)
		}
	}
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Error(err)
	}
}
