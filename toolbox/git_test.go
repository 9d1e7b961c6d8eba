package toolbox_test

import (
	"encoding/json"
	"os"
	osexec "os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/api"
)

// TestGitOverTheWire goes through every operation once; what they do in detail is workspace/git's to test.
func TestGitOverTheWire(t *testing.T) {
	if _, err := osexec.LookPath("git"); err != nil {
		t.Skip("no git program")
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	base, dir := filesServer(t)
	hash := regexp.MustCompile(`[0-9a-f]{40}`)
	stamp := regexp.MustCompile(`"timestamp":"[^"]*"`)
	for _, tc := range []struct {
		method, target, body string
		status               int
		want                 string // with hashes as H; for errors the code
	}{
		{"POST", "/git/init", `{"path":"o.git","bare":true,"initial_branch":"main"}`, 201, ""},
		{"POST", "/git/init", `{"path":"r","initial_branch":"main","bare":null}`, 201, ""},
		{
			"GET", "/git/status?path=r", "", 200,
			`{"currentBranch":"main","fileStatus":[],"branchPublished":false,` +
				`"ahead":0,"behind":0,"detached":false,"upstream":""}`,
		},
		{"GET", "/git/branches?path=r", "", 200, `{"branches":[],"current":"main"}`},
		{"GET", "/git/remotes?path=r", "", 200, `{"remotes":[]}`},
		{"POST", "/git/config/user", `{"name":"N","email":"e@x","scope":"global"}`, 200, ""},
		{"GET", "/git/config?key=user.name&scope=global", "", 200, `{"value":"N"}`},
		{"GET", "/git/config?key=user.none", "", 200, `{"value":null}`},
		{"POST", "/git/config", `{"key":"a.b","value":"","scope":"local","path":"r"}`, 200, ""},
		{"GET", "/git/config?key=a.b&scope=local&path=r", "", 200, `{"value":""}`},
		{"GET", "/git/config?key=a.b&scope=local", "", 400, "BAD_REQUEST"},
		{"GET", "/git/config?key=a.b&scope=x", "", 400, "BAD_REQUEST"},
		{"POST", "/files/upload-v2?path=r/f", "one", 200, `{"name":"f","path":"r/f","type":"file"}`},
		{"POST", "/git/commit", `{"path":"r","message":"m","author":"A","email":"a@x"}`, 409, "CONFLICT"},
		{"POST", "/git/commit", `{"path":"r","message":"","author":"A","email":"a@x"}`, 400, "INVALID_REQUEST_BODY"},
		{"POST", "/git/add", `{"path":"r"}`, 400, "INVALID_REQUEST_BODY"},
		{"POST", "/git/add", `{"path":"r","files":[]}`, 200, ""},
		{"POST", "/git/add", `{"path":"r","files":["none"]}`, 404, "FILE_NOT_FOUND"},
		{"POST", "/git/add", `{"path":"r","files":["."]}`, 200, ""},
		{"POST", "/git/commit", `{"path":"r","message":"first","author":"A","email":"a@x"}`, 200, `{"hash":"H"}`},
		{"POST", "/git/remotes", `{"path":"r","name":"origin","url":"` + dir + `/o.git"}`, 201, ""},
		{"POST", "/git/remotes", `{"path":"r","name":"origin","url":"x"}`, 409, "CONFLICT"},
		{"POST", "/git/push", `{"path":"r","set_upstream":true,"username":"","password":""}`, 200, ""},
		{"POST", "/git/clone", `{"url":"` + dir + `/o.git","path":"c"}`, 200, ""},
		{"POST", "/git/clone", `{"url":"` + dir + `/o.git","path":"c"}`, 409, "CONFLICT"},
		{"POST", "/git/clone", `{"url":"` + dir + `/none.git","path":"d"}`, 404, "GIT_REPO_NOT_FOUND"},
		{"POST", "/git/clone", `{"url":"` + dir + `/o.git"}`, 400, "INVALID_REQUEST_BODY"},
		{"POST", "/git/branches", `{"path":"c","name":"b"}`, 201, ""},
		{"POST", "/git/branches", `{"path":"c","name":"b"}`, 409, "GIT_BRANCH_EXISTS"},
		{"DELETE", "/git/branches", `{"path":"c","name":"b"}`, 409, "CONFLICT"},
		{"POST", "/git/checkout", `{"path":"c","branch":"main"}`, 200, ""},
		{"POST", "/git/checkout", `{"path":"c","branch":"none"}`, 404, "GIT_BRANCH_NOT_FOUND"},
		{"DELETE", "/git/branches", `{"path":"c","name":"b"}`, 204, ""},
		{"DELETE", "/git/branches", `{"path":"c","name":"b"}`, 404, "GIT_BRANCH_NOT_FOUND"},
		{"POST", "/git/pull", `{"path":"c"}`, 200, ""},
		{
			"GET", "/git/history?path=c", "", 200,
			`[{"hash":"H","author":"A","email":"a@x","message":"first\n","timestamp":"T"}]`,
		},
		{"GET", "/git/history", "", 400, "BAD_REQUEST"},
		{"GET", "/git/history?path=c/none", "", 404, "GIT_REPO_NOT_FOUND"},
		{"POST", "/git/reset", `{"path":"c","mode":"hard","target":"HEAD"}`, 200, ""},
		{"POST", "/git/reset", `{"path":"c","mode":"x"}`, 400, "BAD_REQUEST"},
		{"POST", "/git/restore", `{"path":"c","files":["f"],"staged":true,"worktree":true,"source":"HEAD"}`, 200, ""},
		{"POST", "/git/credentials", `{"username":"u","password":"p"}`, 200, ""},
		{
			"GET", "/git/status?path=c", "", 200,
			`{"currentBranch":"main","fileStatus":[],"branchPublished":true,` +
				`"ahead":0,"behind":0,"detached":false,"upstream":"origin/main"}`,
		},
		{"GET", "/git/status", "", 400, "BAD_REQUEST"},
		{"GET", "/git/status?path=.", "", 404, "GIT_REPO_NOT_FOUND"},
	} {
		res, body := call(t, tc.method, base+tc.target, strings.NewReader(tc.body))
		if tc.status >= 400 {
			wantProblem(t, tc.method+" "+tc.target+" "+tc.body, res, body, tc.status, tc.want)
			continue
		}
		got := stamp.ReplaceAllString(hash.ReplaceAllString(body, "H"), `"timestamp":"T"`)
		if res.StatusCode != tc.status || got != tc.want {
			t.Errorf("%s %s %s: %d %s; want %d %s", tc.method, tc.target, tc.body, res.StatusCode, body, tc.status, tc.want)
		}
	}
	_ = os.WriteFile(dir+"/c/new\nname", nil, 0o600)
	_, body := call(t, "GET", base+"/git/status?path=c", nil)
	var st api.GitStatus
	if err := json.Unmarshal([]byte(body), &st); err != nil || len(st.FileStatus) != 1 ||
		st.FileStatus[0] != (api.GitFileStatus{Name: "new\nname", Staging: "Untracked", Worktree: "Untracked"}) {
		t.Errorf("%s %v", body, err)
	}
}
