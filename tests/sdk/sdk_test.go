//go:build e2e

package sdk_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/tests/harness"
	"github.com/sandlot-dev/sandlot/tests/sdk"
)

var update = flag.Bool("update", false, "rewrite docs/compatibility.md")

// The releases that run. SANDLOT_SDK=latest takes the newest published clients of both languages alone, and leaves
// the page as it is; SANDLOT_SDK=all takes the whole matrix.
var (
	pythonReleases = chosen(sdk.PythonReleases)
	nodeReleases   = chosen(sdk.NodeReleases)
	newest         = pythonReleases[len(pythonReleases)-1] // that of the table
)

func chosen(matrix []sdk.Release) (versions []string) {
	which := os.Getenv("SANDLOT_SDK")
	if which == sdk.Latest {
		return []string{sdk.Latest}
	}
	for _, r := range matrix {
		if r.Always || which == "all" {
			versions = append(versions, r.Version)
		}
	}
	return versions
}

// program runs one client program against s, in an empty folder and without any setting of this machine's user.
func program(t *testing.T, s *harness.Sandlot, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "DAYTONA_API_URL="+s.API, "DAYTONA_API_KEY="+s.Key, "PYTHONDONTWRITEBYTECODE=1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s\n%s", strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

func python(t *testing.T, release string) string {
	t.Helper()
	path, err := sdk.Python(release)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// typescript puts a program beside the installed package, where its imports are found, and returns its path.
func typescript(t *testing.T, name string, text []byte) string {
	t.Helper()
	dir, err := sdk.TypeScript(newest)
	if err != nil {
		t.Fatal(err)
	}
	return beside(t, dir, name, text)
}

// beside puts a program into dir, with what the programs share.
func beside(t *testing.T, dir, name string, text []byte) string {
	t.Helper()
	for name, text := range map[string][]byte{name: text, "preview.mjs": source(t, "tests", "sdk", "typescript",
		"preview.mjs")} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, name)
}

func source(t *testing.T, parts ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{harness.Root()}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestReadme runs the README's own programs, as a reader would.
func TestReadme(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	readme := string(source(t, "README.md"))
	for _, tc := range []struct{ fence, program string }{{"python", ""}, {"typescript", ""}} {
		t.Run(tc.fence, func(t *testing.T) {
			m := regexp.MustCompile("(?s)```" + tc.fence + "\n(.*?)```").FindStringSubmatch(readme)
			if m == nil {
				t.Fatalf("README.md has no %s program", tc.fence)
			}
			var out string
			if tc.fence == "python" {
				out = program(t, s, python(t, newest), "-c", m[1])
			} else {
				out = program(t, s, "node", typescript(t, "readme.mjs", []byte(m[1])))
			}
			if strings.TrimSpace(out) == "" {
				t.Error("the program printed nothing")
			}
			t.Logf("printed: %s", out)
		})
	}
}

// TestReleases runs the small program with old and new releases of both clients.
func TestReleases(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	check := func(t *testing.T, release, out string) {
		t.Helper()
		// Some releases print more.
		if want := "ok " + release + "\n"; !strings.HasSuffix(out, want) && release != sdk.Latest {
			t.Errorf("printed %q, want %q", out, want)
		}
	}
	for _, release := range pythonReleases {
		t.Run("Python "+release, func(t *testing.T) {
			interpreter := python(t, release) // one at a time
			t.Parallel()
			check(t, release, program(t, s, interpreter, "-W", "ignore",
				filepath.Join(harness.Root(), "tests", "sdk", "python", "releases.py")))
		})
	}
	dir, err := sdk.TypeScriptReleases()
	name := "daytona-"
	if newest == sdk.Latest {
		dir, err = sdk.TypeScript(sdk.Latest)
		name = "@daytona/sdk"
	}
	if err != nil {
		t.Fatal(err)
	}
	path := beside(t, dir, "releases.mjs", source(t, "tests", "sdk", "typescript", "releases.mjs"))
	for _, release := range nodeReleases {
		t.Run("TypeScript "+release, func(t *testing.T) {
			t.Parallel()
			check(t, release, program(t, s, "node", path, strings.TrimSuffix(name+release, sdk.Latest)))
		})
	}
}

// TestEntrypoint reads the output of an image's own program, which the table cannot show: the default image has none.
func TestEntrypoint(t *testing.T) {
	s := harness.Start(t, harness.Options{Image: harness.Image(t, "", harness.OnlyCMD)})
	const want = "entrypoint entrypoint_command\nfrom the command\nfrom the command\n"
	if out := program(t, s, python(t, newest), "-c", `
import asyncio, os
from daytona import Daytona
process = Daytona().create().process
process.exec("until [ -e /tmp/cmd-ran ]; do sleep 0.1; done; sleep 0.1")
session = process.get_entrypoint_session()
print(session.session_id, session.commands[0].id)
print(process.get_entrypoint_logs().stdout, end="")
def told(text):
    print(text, end="", flush=True)
    os._exit(0) # the program goes on
asyncio.run(process.get_entrypoint_logs_async(told, print))
`); out != want {
		t.Errorf("Python: %q, want %q", out, want)
	}
	if out := program(t, s, "node", typescript(t, "entrypoint.mjs", []byte(`
import { Daytona } from '@daytona/sdk'
const { process: p } = await new Daytona().create()
await p.executeCommand('until [ -e /tmp/cmd-ran ]; do sleep 0.1; done; sleep 0.1')
const session = await p.getEntrypointSession()
console.log(session.sessionId, session.commands[0].id)
process.stdout.write((await p.getEntrypointLogs()).stdout)
p.getEntrypointLogs((text) => process.stdout.write(text, () => process.exit()), console.log)
`))); out != want {
		t.Errorf("TypeScript: %q, want %q", out, want)
	}
}

// mustWork is what this release of Sandlot gives: in both languages' spelling after Class.
var mustWork = []string{
	"Daytona.create", "Daytona.get", "Daytona.list", "Daytona.start", "Daytona.stop", "Daytona.delete",
	"Sandbox.start", "Sandbox.stop", "Sandbox.delete", "Sandbox.set_labels", "Sandbox.refresh_data",
	"Sandbox.refresh_activity",
	"Sandbox.set_autostop_interval", "Sandbox.set_auto_archive_interval", "Sandbox.set_auto_delete_interval",
	"Sandbox.get_user_home_dir", "Sandbox.get_work_dir", "Sandbox.get_preview_link",
	"Process.exec", "Process.execute_command", "Process.code_run",
	"FileSystem.list_files", "FileSystem.get_file_info", "FileSystem.get_file_details", "FileSystem.create_folder",
	"FileSystem.delete_file", "FileSystem.move_files", "FileSystem.upload_file", "FileSystem.upload_files",
	"FileSystem.upload_file_stream", "FileSystem.download_file", "FileSystem.download_files",
	"FileSystem.download_file_stream",
}

func TestEveryMethod(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	table := func(out string) (tb sdk.Table) {
		if err := json.Unmarshal([]byte(out), &tb); err != nil {
			t.Fatalf("%v: %.2000s", err, out)
		}
		return tb
	}
	methods := filepath.Join(harness.Root(), "tests", "sdk", "python", "methods.py")
	sync := table(program(t, s, python(t, newest), methods, "sync"))
	async := table(program(t, s, python(t, newest), methods, "async"))
	ts := table(program(t, s, "node", typescript(t, "methods.mjs",
		source(t, "tests", "sdk", "typescript", "methods.mjs"))))
	for client, tb := range map[string]sdk.Table{"Daytona": sync, "AsyncDaytona": async, "@daytona/sdk": ts} {
		seen := 0
		for name, o := range tb.Methods {
			if o.Status == "fails" {
				t.Errorf("%s: %s fails: %s", client, name, o.Detail)
			}
			for _, must := range mustWork {
				if name == must || name == camel(must) {
					seen++
					if o.Status != "works" && o.Status != "partial" {
						t.Errorf("%s: %s has to work, but: %s: %s", client, name, o.Status, o.Detail)
					}
				}
			}
		}
		if seen < 30 {
			t.Errorf("%s: only %d of the methods that have to work were found", client, seen)
		}
	}
	page := sdk.Page(sync, async, ts)
	t.Logf("\n%s", page)
	if newest == sdk.Latest {
		return
	}
	path := filepath.Join(harness.Root(), "docs", "compatibility.md")
	if *update {
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old, err := os.ReadFile(path); err != nil || string(old) != page {
		t.Errorf("docs/compatibility.md is not what the clients give today (%v); run this test with -update and read the "+
			"difference", err)
	}
}

// camel turns Class.some_name into Class.someName.
func camel(name string) string {
	return regexp.MustCompile(`_(\w)`).ReplaceAllStringFunc(name, func(m string) string { return strings.ToUpper(m[1:]) })
}
