package git_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/sandlot-dev/sandlot/workspace/git"
)

// TestWorkTreesOfOneRepositoryWaitForOneAnother too: they share configuration and references.
func TestWorkTreesOfOneRepositoryWaitForOneAnother(t *testing.T) {
	m, dir := open(t)
	sh(t, dir, `git init -q -b main r; cd r; echo 1 > a; git add a; git commit -q -m 1; git worktree add -q ../w
		git worktree add -q ../v`)
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			path := []string{"r", "w", "v"}[i%3]
			err := m.SetConfig(t.Context(), "local", path, [2]string{fmt.Sprintf("a.b%d", i), "1"})
			if i%2 == 0 {
				err = m.AddRemote(t.Context(), path, git.Remote{Name: fmt.Sprint("n", i), URL: "x"}, false, false)
			}
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
		})
	}
	all.Wait()
}
