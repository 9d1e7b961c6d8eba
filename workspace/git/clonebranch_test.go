package git_test

import (
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/workspace/git"
)

// TestACloneOfABranchKnowsTheOthers as that of git clone -b does, with the git program and without. A shallow one has
// the branch alone, also as git has it.
func TestACloneOfABranchKnowsTheOthers(t *testing.T) {
	program, dir := open(t)
	sh(t, dir, origin)
	base, _ := forge(t, dir)
	processes, err := process.NewManager(process.Config{Dir: dir, Env: []string{"PATH=" + dir, "HOME=" + t.TempDir()}})
	ok(t, err)
	defer processes.Close(0)
	creds := git.Credentials{Username: "u", Password: secret}
	for name, m := range map[string]*git.Manager{"program": program, "library": git.New(processes)} {
		spec := git.CloneSpec{URL: base + "/origin.git", Path: name, Branch: "side", Credentials: creds}
		ok(t, m.Clone(t.Context(), spec))
		if st, err := m.Status(t.Context(), name); err != nil || st.Branch != "side" || st.Upstream != "origin/side" ||
			len(st.Files) != 0 {
			t.Errorf("%s: %+v %v", name, st, err)
		}
		if err := m.Checkout(t.Context(), name, "main"); err != nil {
			t.Errorf("%s: checkout of another branch: %v", name, err)
		}
		if st, err := m.Status(t.Context(), name); err != nil || st.Branch != "main" || st.Upstream != "origin/main" ||
			len(st.Files) != 0 {
			t.Errorf("%s: %+v %v", name, st, err)
		}
		sh(t, dir+"/seed", "git checkout -q -B "+name+" main; git push -q origin "+name)
		ok(t, m.Pull(t.Context(), git.TransferSpec{Path: name, Credentials: creds}))
		if err := m.Checkout(t.Context(), name, name); err != nil { // what to fetch is all branches too
			t.Errorf("%s: checkout of a branch that came later: %v", name, err)
		}

		spec.Path, spec.Depth = name+"-shallow", 1
		ok(t, m.Clone(t.Context(), spec))
		if got := strings.TrimSpace(sh(t, dir+"/"+spec.Path,
			"git rev-list --count HEAD; git for-each-ref --format='%(refname)' refs/remotes | grep -c main || true")); got != "1\n0" {
			t.Errorf("%s: a shallow clone has commits and other branches: %q", name, got)
		}
	}
}
