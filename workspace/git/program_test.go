package git_test

import (
	"os"
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/workspace/git"
)

// TestUserSettingsChangeNoAnswer sets what changes the form of git's output.
func TestUserSettingsChangeNoAnswer(t *testing.T) {
	m, dir := open(t)
	sh(t, dir, origin)
	sh(t, dir+"/seed", `for s in \
		color.ui=always color.advice=always commit.gpgsign=true user.signingkey=x core.commentChar=';' \
		commit.template=/none commit.verbose=true commit.status=false core.abbrev=7 log.showSignature=true \
		format.pretty=oneline status.short=true status.showUntrackedFiles=no status.branch=false \
		log.date=relative log.follow=true log.decorate=full core.pager=false core.quotepath=true \
		status.showStash=true push.default=nothing push.followTags=true pull.rebase=true pull.ff=false \
		merge.ff=false branch.autoSetupRebase=always checkout.guess=false clone.defaultRemoteName=other \
		i18n.logOutputEncoding=latin1 i18n.commitEncoding=latin1 core.fsmonitor=false \
		fetch.recurseSubmodules=true
	do git config --global "${s%%=*}" "${s#*=}"; done`)
	ok(t, m.Clone(t.Context(), git.CloneSpec{URL: dir + "/origin.git", Path: "r"}))
	_ = os.WriteFile(dir+"/r/é", nil, 0o600)
	st, err := m.Status(t.Context(), "r")
	if err != nil || st.Branch != "main" || len(st.Files) != 1 || st.Files[0].Name != "é" {
		t.Errorf("%+v %v", st, err)
	}
	ok(t, m.Add(t.Context(), "r", []string{"é"}))
	hash, err := m.Commit(t.Context(), git.CommitSpec{Path: "r", Message: "; kept é", Author: "Ä", Email: "a@b"})
	if err != nil || len(hash) != 40 {
		t.Errorf("%q %v", hash, err)
	}
	var first *git.Commit
	ok(t, m.History(t.Context(), "r", func(c git.Commit) error {
		if first == nil {
			first = &c
		}
		return nil
	}))
	if first == nil || first.Hash != hash || first.Message != "; kept é\n" || first.Author != "Ä" {
		t.Errorf("%+v", first)
	}
	ok(t, m.Push(t.Context(), git.TransferSpec{Path: "r"}))
	if tags := strings.TrimSpace(sh(t, dir+"/origin.git", "git tag")); tags != "v1" {
		t.Errorf("tags: %q", tags)
	}
	sh(t, dir+"/seed", `git checkout -q main; git fetch -q; git reset -q --hard origin/main; echo 9 > nine
		git add nine; git -c commit.gpgsign=false commit -q -m nine; git push -q --no-follow-tags origin HEAD:main`)
	ok(t, m.Pull(t.Context(), git.TransferSpec{Path: "r"}))
	if got := sh(t, dir+"/r", "git log -1 --format=%s HEAD"); got != "nine\n" {
		t.Errorf("after the pull HEAD is %q", got)
	}
	sh(t, dir+"/r", `git checkout -q -b a; echo a > f; git -c commit.gpgsign=false commit -qam a
		git checkout -q main; echo b > f; git -c commit.gpgsign=false commit -qam b; git merge -q a || true`)
	_, err = m.Commit(t.Context(), git.CommitSpec{Path: "r", Message: "x", Author: "a", Email: "e"})
	wantFault(t, "conflict", err, fault.Conflict, "GIT_MERGE_CONFLICT")
	if err != nil && strings.ContainsAny(err.Error(), "\x1b") || strings.Contains(err.Error(), "hint") {
		t.Errorf("the error is %q", err)
	}
}

// TestRepositoriesOfOtherUsers needs root, to make one.
func TestRepositoriesOfOtherUsers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	m, dir := open(t)
	sh(t, dir, origin+"; chown -R 1234 .")
	if st, err := m.Status(t.Context(), "seed"); err != nil || st.Branch != "side" {
		t.Errorf("%+v %v", st, err)
	}
	err := m.Clone(t.Context(), git.CloneSpec{URL: dir + "/seed", Path: "new"})
	wantFault(t, "clone", err, fault.Forbidden, "FILE_ACCESS_DENIED")
	if err != nil && !strings.Contains(err.Error(), "--add safe.directory") {
		t.Errorf("the fix is not in %v", err)
	}
}

func TestMessagesSayWhatIsWrongWithTheInput(t *testing.T) {
	m, dir := open(t)
	sh(t, dir, origin)
	sh(t, dir+"/seed", "echo more >> f; git add f")
	_, err := m.Commit(t.Context(), git.CommitSpec{Path: "seed", Message: "a\x00b", Author: "a", Email: "e"})
	wantFault(t, "NUL in a message", err, fault.Invalid, "")
	creds := git.Credentials{Username: "u", Password: "p"}
	for _, at := range [][2]string{
		{"https", "a/b"},
		{"https", "https://a"},
		{"https", "u@a"},
		{"https", "a b"},
		{"ht tp", "a"},
		{"https://", "a"},
	} {
		wantFault(t, strings.Join(at[:], " "), m.StoreCredentials(t.Context(), at[0], at[1], creds), fault.Invalid, "")
	}
	base, _ := forge(t, dir)
	err = m.Clone(t.Context(), git.CloneSpec{URL: base + "/origin.git", Path: "x"})
	if err == nil || !strings.Contains(err.Error(), "give username and password") {
		t.Errorf("the fix is not in %v", err)
	}
	err = m.Clone(t.Context(), git.CloneSpec{
		URL: base + "/origin.git", Path: "x",
		Credentials: git.Credentials{Username: "u", Password: "n"},
	})
	if err == nil || !strings.Contains(err.Error(), "Authentication failed") || strings.Contains(err.Error(), "give") {
		t.Errorf("a password of one letter makes the error %v", err)
	}
}
