package session_test

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/session"
)

// TestACommandThatCannotBeHandedOverSaysWhy: without descriptors the disk is not full.
func TestACommandThatCannotBeHandedOverSaysWhy(t *testing.T) {
	s := create(t, newManager(t, session.Config{}), "s")
	do(t, s, "true")
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	c, err := s.Exec(session.Spec{Script: "echo never"})
	if back := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); back != nil {
		t.Fatal(back)
	}
	if err == nil {
		wait(t, c)
		err = c.Err()
	}
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "EMFILE") {
		t.Errorf("%v (%v), want unavailable with EMFILE", err, fault.KindOf(err))
	}
	if code, out, _ := do(t, s, "echo again"); code != 0 || out != "again\n" {
		t.Errorf("the next command: %d, %q", code, out)
	}
}
