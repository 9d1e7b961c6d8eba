package git_test

import (
	"fmt"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/workspace/git"
)

func TestConfig(t *testing.T) {
	m, dir := open(t)
	ok(t, m.Init(t.Context(), "r", false, ""))
	if v, err := m.Config(t.Context(), "", "", "user.name"); v != nil || err != nil {
		t.Errorf("unset: %v %v", v, err)
	}
	for _, tc := range []struct{ scope, path, value string }{
		{"", "", "Global"},
		{"local", "r", "-x --y"},
		{"global", "", "two\nlines "},
		{"local", "r", ""},
	} {
		ok(t, m.SetConfig(t.Context(), tc.scope, tc.path, [2]string{"user.name", tc.value}, [2]string{"user.email", "e"}))
		if v, err := m.Config(t.Context(), tc.scope, tc.path, "user.name"); err != nil || v == nil || *v != tc.value {
			t.Errorf("%+v: %v %v", tc, v, err)
		}
	}
	sh(t, dir+"/r", "git config --add x.y 1; git config --add x.y 2")
	ok(t, m.SetConfig(t.Context(), "local", "r", [2]string{"x.y", "3"}))
	if got := sh(t, dir+"/r", "git config --get-all x.y"); got != "3\n" {
		t.Errorf("%q", got)
	}
	for _, tc := range []struct{ scope, path, key string }{
		{"wild", "", "a.b"},
		{"local", "", "a.b"},
		{"", "", "nosection"},
		{"", "", "--list"},
		{"", "", "a.b\x00"},
	} {
		_, err := m.Config(t.Context(), tc.scope, tc.path, tc.key)
		wantFault(t, fmt.Sprint(tc), err, fault.Invalid, "")
		wantFault(t, fmt.Sprint(tc), m.SetConfig(t.Context(), tc.scope, tc.path, [2]string{tc.key, "x"}), fault.Invalid, "")
	}
	_, err := m.Config(t.Context(), "local", "none", "a.b")
	wantFault(t, "no repository", err, fault.NotFound, "GIT_REPO_NOT_FOUND")
}

func TestStoredCredentialsAreUsedByGit(t *testing.T) {
	m, _ := open(t)
	ok(t, m.SetConfig(t.Context(), "", "", [2]string{"credential.helper", "cache"}))
	for range 2 {
		ok(t, m.StoreCredentials(t.Context(), "", "", git.Credentials{Username: "u", Password: "p:/@ x"}))
	}
	ok(t, m.StoreCredentials(t.Context(), "http", "git.local:8080", git.Credentials{Username: "v", Password: "q"}))
	got := sh(t, "/", "git config --get-all credential.helper; sort ~/.git-credentials; stat -c %a ~/.git-credentials")
	if got != "cache\nstore\nhttp://v:q@git.local%3a8080\nhttps://u:p%3a%2f%40%20x@github.com\n600\n" {
		t.Errorf("%s", got)
	}
	wantFault(t, "line end", m.StoreCredentials(t.Context(), "", "a\nhost=b",
		git.Credentials{Username: "u", Password: "p"}), fault.Invalid, "")
	wantFault(t, "no password", m.StoreCredentials(t.Context(), "", "", git.Credentials{Username: "u"}), fault.Invalid, "")
}
