package git

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/process"
)

// TestAGitThatWaitsForEverLeavesTheRepository puts a pipe where git itself reads, and leaves.
func TestAGitThatWaitsForEverLeavesTheRepository(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git program")
	}
	dir := t.TempDir()
	processes, err := process.NewManager(process.Config{
		Dir: dir,
		Env: []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer processes.Close(0)
	m := New(processes)
	m.program.patience = 100 * time.Millisecond
	if err := m.Init(t.Context(), "r", false, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(dir+"/r/.gitignore", 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer leave()
	began := time.Now()
	if err := m.Add(ctx, "r", []string{"."}); !errors.Is(err, context.DeadlineExceeded) ||
		time.Since(began) < m.program.patience {
		t.Errorf("add: %v after %v", err, time.Since(began))
	}
	if err := os.Remove(dir + "/r/.gitignore"); err != nil {
		t.Fatal(err)
	}
	if err := m.Add(t.Context(), "r", []string{"."}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
