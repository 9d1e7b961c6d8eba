package process_test

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/process"
)

// TestChangedLimitsAreSetBackAndTold changes limits of this program as a process of the sandbox can.
func TestChangedLimitsAreSetBackAndTold(t *testing.T) {
	var mu sync.Mutex
	var told []string
	m := newManager(t, process.Config{Warn: func(text string) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, text)
	}})
	option := map[int]string{
		unix.RLIMIT_NOFILE: "--nofile=40:", unix.RLIMIT_NPROC: "--nproc=20000:",
		unix.RLIMIT_FSIZE: "--fsize=2000000000000:", unix.RLIMIT_AS: "--as=2000000000000:",
	}
	for resource := range option {
		var was, is unix.Rlimit
		if err := unix.Prlimit(0, resource, nil, &was); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		told = nil
		mu.Unlock()
		argv := []string{"prlimit", "--pid", strconv.Itoa(os.Getpid()), option[resource]}
		res, err := m.Run(t.Context(), process.Spec{Argv: argv})
		if err != nil || res.ExitCode != 0 {
			t.Fatalf("prlimit: %v, %s", err, text(t, res.Output, 0))
		}
		if res, err := m.Run(t.Context(), process.Spec{Script: "echo well"}); err != nil || res.ExitCode != 0 {
			t.Errorf("the next command: %+v, %v", res, err)
		}
		if err := unix.Prlimit(0, resource, nil, &is); err != nil || is != was {
			t.Errorf("limit %d is %v, %v; want %v", resource, is, err, was)
		}
		mu.Lock()
		if len(told) != 1 || !strings.Contains(told[0], "set back") {
			t.Errorf("told %q", told)
		}
		mu.Unlock()
	}
}
