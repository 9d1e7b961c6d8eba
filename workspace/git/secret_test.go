package git_test

import (
	"bytes"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/workspace/git"
)

// readable is what another process of the same user finds the secret in: arguments, environment and open files of our
// own process and of those whose arguments name the address, and the files below dir.
func readable(t *testing.T, address, dir string) (found []string, looked int) {
	t.Helper()
	look := func(name string) {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err != nil {
			return // a socket, for instance
		}
		file := os.NewFile(uintptr(fd), name)
		defer file.Close()
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT == unix.S_IFCHR || st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return
		}
		data := make([]byte, 64<<10)
		n, _ := unix.Read(fd, data)
		looked++
		if n > 0 && bytes.Contains(data[:n], []byte("s3cret")) {
			found = append(found, name)
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		arguments, _ := os.ReadFile(p + "/cmdline")
		if own := p == "/proc/"+strconv.Itoa(os.Getpid()); !own && !bytes.Contains(arguments, []byte(address)) {
			continue
		}
		look(p + "/cmdline")
		look(p + "/environ")
		files, _ := filepath.Glob(p + "/fd/*")
		for _, f := range files {
			look(f)
		}
	}
	_ = filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err == nil {
			look(p)
		}
		return nil // what vanishes meanwhile is not there to be read
	})
	return found, looked
}

// TestNobodyReadsThePasswordOfASlowClone looks for it in all that others can open, while the server keeps git waiting:
// before it has asked for credentials, and when it has them.
func TestNobodyReadsThePasswordOfASlowClone(t *testing.T) {
	m, dir := open(t)
	sh(t, dir, origin)
	core := strings.TrimSpace(sh(t, dir, "git --exec-path"))
	backend := &cgi.Handler{
		Path: core + "/git-http-backend",
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=u"},
	}
	var mu sync.Mutex
	phases := map[string]int{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, given := r.BasicAuth()
		phase := r.Method + " with the password"
		if !given {
			phase = r.Method + " without it"
		}
		found, looked := readable(t, "http://"+r.Host+"/", dir+"/r") // git waits for the answer
		mu.Lock()
		phases[phase] += looked
		mu.Unlock()
		if len(found) > 0 {
			t.Errorf("%s: the password is in %q", phase, found)
		}
		if password != secret {
			w.Header().Set("WWW-Authenticate", `Basic realm="forge"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	defer srv.Close()
	ok(t, m.Clone(t.Context(), git.CloneSpec{
		URL: srv.URL + "/origin.git", Path: "r",
		Credentials: git.Credentials{Username: "u", Password: secret},
	}))
	for _, phase := range []string{"GET without it", "GET with the password", "POST with the password"} {
		if phases[phase] < 10 {
			t.Errorf("%s: looked at %d files alone", phase, phases[phase])
		}
	}
}
