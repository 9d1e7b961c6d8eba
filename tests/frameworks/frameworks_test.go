//go:build e2e

package frameworks_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/sandlot-dev/sandlot/tests/harness"
)

// ports of the apps, by the names of their folders.
var ports = map[string]int{
	"tornado": 8801, "origin": 8802, "jupyter": 8803, "redirect": 8804, "django": 8805, "vite": 8806, "webpack": 8807,
	"next":      8808,
	"streamlit": 8809, "gradio": 8810,
}

// order is that of the table.
var order = []string{
	"tornado", "origin", "jupyter", "redirect", "django", "vite", "webpack", "next", "streamlit",
	"gradio",
}

// forms are those of a preview's address in each mode.
var forms = map[string]*regexp.Regexp{
	"host":     regexp.MustCompile(`^http://\d+-[0-9a-f-]{36}\.(\w+\.)?localhost:\d+$`),
	"loopback": regexp.MustCompile(`^http://127\.[\d.]+:88\d\d$`),
	"path":     regexp.MustCompile(`^http://127\.0\.0\.1:\d+/p/[0-9a-f-]{36}/88\d\d$`),
}

const startWithin = 3 * time.Minute // an app, on a busy machine

// TestFrameworks opens every app in every way. One of them: -run 'TestFrameworks/^host$/^framed$/^vite$'.
func TestFrameworks(t *testing.T) {
	y := newYard(t)
	t.Cleanup(func() { t.Logf("screenshots are in %s\n%s", y.shots, y.table()) })
	t.Run("direct", func(t *testing.T) {
		y.each(t, "direct", func(t *testing.T, app string) {
			y.visit(t, app, "direct", y.direct(t, ports[app]), "")
		})
	})
	for _, mode := range []string{"host", "loopback", "path"} {
		t.Run(mode, func(t *testing.T) {
			y.restart(t, mode)
			for _, way := range []struct{ name, outside string }{{"alone", ""}, {"framed", y.outside}} {
				t.Run(way.name, func(t *testing.T) {
					y.each(t, mode+" "+way.name, func(t *testing.T, app string) {
						link, token := y.link(t, ports[app])
						if form := forms[mode]; !form.MatchString(link) {
							t.Fatalf("link %s, want %s", link, form)
						}
						y.visit(t, app, mode+" "+way.name, link+"/?DAYTONA_SANDBOX_AUTH_KEY="+token, way.outside)
					})
				})
			}
			t.Run("public", func(t *testing.T) {
				c := y.s.As(t, y.s.Key)
				c.API("POST", "/sandbox/"+y.box.ID+"/public/true", nil).Want(http.StatusOK)
				defer c.API("POST", "/sandbox/"+y.box.ID+"/public/false", nil)
				for _, app := range []string{"tornado", "django"} {
					t.Run(app, func(t *testing.T) {
						y.start(t, app)
						link, _ := y.link(t, ports[app])
						y.visit(t, app, mode+" public framed", link+"/", y.outside)
					})
				}
			})
		})
	}
}

// TestJavaOpensAPreview is the part of e2e's TestProgramsOpenPreviews that needs a JDK.
func TestJavaOpensAPreview(t *testing.T) {
	s := harness.Start(t, harness.Options{Image: harness.Image(t, "", harness.Busybox)})
	y := &yard{s: s, box: s.As(t, s.Key).Create(nil)}
	y.box.MustExec(`mkdir -p /tmp/www && echo "a page" >/tmp/www/index.html && (setsid httpd -f -p 3000 -h /tmp/www >/dev/null 2>&1 &)`)
	link, token := y.link(t, 3000)
	var out string
	var err error
	if !harness.Wait(20*time.Second, func() bool { // the server comes to listen
		out, err = harness.Run(nil, nil, "java", filepath.Join(folder(), "Get.java"),
			link+"/?DAYTONA_SANDBOX_AUTH_KEY="+token)
		return err == nil && out == "a page\n"
	}) {
		t.Errorf("java printed %q of %s: %v", out, link, err)
	}
}

// yard is a Sandlot with one sandbox in which the apps run, and what visits them.
type yard struct {
	s       *harness.Sandlot
	box     *harness.Box
	addr    string // of the sandbox
	node    string // folder of the browser's driver
	shots   string // folder of the screenshots
	outside string // address of the other site's page

	started map[string]func() error
	columns []string
	cells   map[string]string // by app and column
}

func newYard(t *testing.T) *yard {
	t.Helper()
	y := &yard{
		node: driver(t), shots: os.Getenv("SANDLOT_SHOTS"), outside: outside(t),
		started: map[string]func() error{}, cells: map[string]string{},
	}
	if y.shots == "" {
		var err error
		if y.shots, err = os.MkdirTemp("", "sandlot-shots-"); err != nil { //nolint:usetesting // they are looked at when the test has ended
			t.Fatal(err)
		}
	} else if err := os.MkdirAll(y.shots, 0o755); err != nil {
		t.Fatal(err)
	}
	y.s = harness.Start(t, harness.Options{Image: image(t)})
	y.box = y.s.As(t, y.s.Key).Create(map[string]any{"memory": 8})
	out, err := y.s.Docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", y.box.ID)
	if err != nil {
		t.Fatal(err)
	}
	y.addr = strings.TrimSpace(out)
	for _, app := range order {
		y.upload(t, app)
		y.started[app] = sync.OnceValue(func() error { return y.run(app) })
	}
	return y
}

// upload brings the files of an app into the sandbox.
func (y *yard) upload(t *testing.T, app string) {
	t.Helper()
	files := os.DirFS(folder())
	err := fs.WalkDir(files, "apps/"+app, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, path)
		y.box.Toolbox("POST", "/files/upload-v2"+harness.Query("path", path), bytes.NewReader(data)).Want(http.StatusOK)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func folder() string { return filepath.Join(harness.Root(), "tests", "frameworks") }

// each runs a subtest for each app, with the app running.
func (y *yard) each(t *testing.T, column string, do func(t *testing.T, app string)) {
	for _, app := range order {
		t.Run(app, func(t *testing.T) {
			y.start(t, app)
			do(t, app)
		})
	}
}

// start runs an app that does not run yet.
func (y *yard) start(t *testing.T, app string) {
	t.Helper()
	if err := y.started[app](); err != nil {
		t.Fatal(err)
	}
}

// run starts an app and waits until it answers.
func (y *yard) run(app string) error {
	code, out := y.box.Exec(fmt.Sprintf("cd ~/apps/%s && PORT=%d setsid nohup sh ./start >~/%s.log 2>&1 </dev/null &",
		app, ports[app], app))
	if code != 0 {
		return fmt.Errorf("%s: exit code %d: %s", app, code, out)
	}
	client := http.Client{Timeout: time.Minute}
	if !harness.Wait(startWithin, func() bool {
		resp, err := client.Get(fmt.Sprintf("http://%s:%d/", y.addr, ports[app]))
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil
	}) {
		return fmt.Errorf("%s does not answer after %s:\n%s", app, startWithin, y.log(app, 0))
	}
	return nil
}

// log is what an app has printed after its first bytes.
func (y *yard) log(app string, after int) string {
	_, out := y.box.Exec(fmt.Sprintf("tail -c +%d ~/%s.log | tail -n 15", after+1, app))
	return out
}

func (y *yard) logged(app string) (size int) {
	_, out := y.box.Exec(fmt.Sprintf("stat -c %%s ~/%s.log", app))
	_, _ = fmt.Sscan(out, &size)
	return size
}

// restart runs Sandlot in another preview mode; the sandbox goes on.
func (y *yard) restart(t *testing.T, mode string) {
	t.Helper()
	if _, err := y.s.Terminate(10 * time.Second); err != nil {
		t.Fatalf("SIGTERM: %v", err)
	}
	y.s.SetEnv("SANDLOT_PREVIEW_MODE=" + mode)
	if err := y.s.Run(); err != nil {
		t.Fatal(err)
	}
}

// link asks for the preview of a port.
func (y *yard) link(t *testing.T, port int) (link, token string) {
	t.Helper()
	var got struct{ URL, Token string }
	y.s.As(t, y.s.Key).API("GET", fmt.Sprintf("/sandbox/%s/ports/%d/preview-url", y.box.ID, port),
		nil).Want(http.StatusOK).Into(&got)
	return strings.TrimSuffix(got.URL, "/"), got.Token
}

// outcome is what browser/visit.mjs prints.
type outcome struct {
	Why           string   // a step failed
	Problems      []string // what stood in red
	Took          int      // milliseconds
	Text, Address string   // of the page at the end
}

// visit opens link, in a frame of outside where that is not "", and fails the test unless all is as a user wants it.
func (y *yard) visit(t *testing.T, app, column, link, outside string) {
	t.Helper()
	before := y.logged(app)
	task, err := json.Marshal(map[string]string{
		"visit": filepath.Join(folder(), "apps", app, "visit.mjs"), "link": link, "outside": outside,
		"files": strings.TrimSuffix(y.box.ToolboxProxyURL, "/") + "/" + y.box.ID + "/files/upload-v2?path=apps/" + app +
			"/", "key": y.s.Key,
		"shot": filepath.Join(y.shots, strings.ReplaceAll(column, " ", "-")+"-"+app+".png"),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := y.browse(t, task)
	// The browser drops what it loads when the machine gets or loses a network, as with every container that is made on
	// it.
	for tries := 1; tries < 5 && strings.Contains(strings.Join(got.Problems, ""), "ERR_NETWORK_CHANGED"); tries++ {
		t.Log("the machine's networks changed during the visit: once more")
		got = y.browse(t, task)
	}
	mark := "ok"
	if got.Why != "" || len(got.Problems) > 0 {
		mark = "FAIL"
		t.Errorf("%s\n%s\naddress %s, text %q\nits log:\n%s", got.Why, strings.Join(got.Problems, "\n"), got.Address,
			got.Text, y.log(app, before))
	}
	y.set(app, column, fmt.Sprintf("%s %.1fs", mark, float64(got.Took)/1000))
}

// browse runs the driver of the browser.
func (y *yard) browse(t *testing.T, task []byte) (got outcome) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", filepath.Join(y.node, "visit.mjs"), string(task))
	cmd.Dir = y.node
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("the driver of the browser: %v\n%s", err, stderr.String())
	}
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, stdout.String())
	}
	return got
}

func (y *yard) set(app, column, cell string) {
	if len(y.columns) == 0 || y.columns[len(y.columns)-1] != column {
		y.columns = append(y.columns, column)
	}
	y.cells[app+" "+column] = cell
}

// table is app by way, with the outcome and the time of each visit.
func (y *yard) table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "app\t%s\n", strings.Join(y.columns, "\t"))
	for _, app := range order {
		fmt.Fprint(w, app)
		for _, column := range y.columns {
			fmt.Fprint(w, "\t"+y.cells[app+" "+column])
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
	return b.String()
}

// direct makes a port of the sandbox the same port of localhost until the test ends, as if the app ran on this machine.
func (y *yard) direct(t *testing.T, port int) string {
	t.Helper()
	ln, err := net.Listen("tcp", fmt.Sprintf("localhost:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				out, err := net.Dial("tcp", net.JoinHostPort(y.addr, strconv.Itoa(port)))
				if err != nil {
					return
				}
				defer out.Close()
				go func() {
					_, _ = io.Copy(out, in)
					_ = out.Close()
				}()
				_, _ = io.Copy(in, out)
			}()
		}
	}()
	return fmt.Sprintf("http://localhost:%d/", port)
}

// outside serves a page of another site that shows ?link= in a frame, and returns its address.
func outside(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><title>outside</title><link rel=icon href="data:,"><h4>another site</h4><iframe src=%q style="width:95%%;height:600px"></iframe>`, r.FormValue("link"))
	}))
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return "http://other.localhost:" + at.Port() + "/" // neither the site of *.proxy.localhost nor of an address
}

// image is the default image with all that the apps need, built when their pins have changed.
func image(t *testing.T) string {
	t.Helper()
	const repository = "sandlot-test/frameworks"
	dir := filepath.Join(folder(), "apps")
	sum := sha256.New()
	for _, name := range []string{"Dockerfile", "requirements.txt", "package.json", "package-lock.json"} {
		sum.Write(file(t, filepath.Join(dir, name)))
	}
	name := repository + ":" + hex.EncodeToString(sum.Sum(nil)[:8])
	if _, err := harness.Docker("", nil, "image", "inspect", name); err == nil {
		return name
	}
	t.Logf("building %s, which takes some minutes", name)
	args := []string{"build", "-q", "--network", "host", "-t", name}
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy", "PIP_INDEX_URL", "npm_config_registry"} {
		if os.Getenv(name) != "" {
			args = append(args, "--build-arg", name)
		}
	}
	if _, err := harness.Run(nil, []string{"DOCKER_BUILDKIT=0"}, "docker", append(args, dir)...); err != nil {
		t.Fatal(err)
	}
	old, _ := harness.Docker("", nil, "images", "--format", "{{.Repository}}:{{.Tag}}", repository)
	for _, other := range strings.Fields(old) {
		if other != name {
			_, _ = harness.Docker("", nil, "rmi", other)
		}
	}
	return name
}

// driver is a folder with browser/visit.mjs and what it imports, which is installed when the pins have changed.
func driver(t *testing.T) string {
	t.Helper()
	from := filepath.Join(folder(), "browser")
	sum := sha256.Sum256(file(t, filepath.Join(from, "package-lock.json")))
	dir, err := harness.Cache("frameworks", hex.EncodeToString(sum[:8]))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"visit.mjs", "package.json", "package-lock.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), file(t, filepath.Join(from, name)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json")); err == nil { // npm writes it last
		return dir
	}
	if _, err := harness.Run(nil, nil, "npm", "ci", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund",
		"--loglevel=error"); err != nil {
		t.Fatal(err)
	}
	return dir
}

func file(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
