package sandlot_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sandlot-dev/sandlot"

// A rule says what the packages of some rooms may import. The first rule that names a package's room holds for it; a
// package's own room and the rooms below that are always allowed.
type rule struct {
	rooms   string // the rooms, with all below them
	may     string // our rooms that they may import, with all below these; "=room" means without what is below
	mustNot string // outside packages that they may not import, with all below these; "all" means every one
	except  string // outside packages allowed all the same
	why     string // printed with each breach
}

const web = "net/http github.com/gin-gonic github.com/gorilla/websocket"

// rules is the import table of the house. A new room needs a line here, and a decision record.
var rules = []rule{
	{
		rooms: "cmd/sandlot", may: "runnerd coordinator proxy cli api internal dashboard",
		why: "cmd/sandlot joins the rooms outside a sandbox",
	},
	{
		rooms: "cmd/toolboxd", may: "toolbox process session interpreter lsp computeruse workspace telemetry api internal",
		why: "cmd/toolboxd joins the rooms inside a sandbox",
	},
	{
		rooms: "cmd/openapi", may: "toolbox coordinator internal",
		why: "cmd/openapi describes the route tables at make gen, and runs at no other time",
	},
	{rooms: "cmd/desktopd", may: "computeruse internal", why: "desktopd is the display side alone"},

	{rooms: "runnerd/inject", mustNot: "all", why: "inject is a file and nothing else"},
	{
		rooms: "runnerd/docker runnerd/network runnerd/volume runnerd/build", may: "runnerd/sandbox internal",
		mustNot: "github.com/gin-gonic",
		why:     "an adapter serves its domain room, and knows neither the wire nor another adapter",
	},
	{
		rooms: "runnerd/sandbox", may: domainInternal, mustNot: web,
		why: "a domain room is plain Go: HTTP belongs to its wire room, the engine to an adapter",
	},
	{
		rooms: "coordinator/catalog", may: "coordinator/fleet " + domainInternal,
		mustNot: web + " database/sql github.com/uptrace/bun",
		why:     "what a catalog lists, a fleet starts from: it stands on that one sister, and is as plain Go",
	},
	{
		rooms: "coordinator/fleet coordinator/tenancy", may: domainInternal,
		mustNot: web + " database/sql github.com/uptrace/bun",
		why:     "a domain room is plain Go: HTTP belongs to its wire room, SQL to the store",
	},
	{
		rooms: "coordinator/store", may: "coordinator/fleet coordinator/catalog coordinator/tenancy internal",
		mustNot: web,
		why:     "the store serves fleet and tenancy, and knows nothing of the wire",
	},
	{
		rooms: "computeruse/x11", may: "=computeruse internal", mustNot: web,
		why: "x11 is computeruse's display side; it is linked into desktopd alone",
	},
	{
		rooms: "process/journal", may: "internal/linux", mustNot: "all " + web, except: "golang.org/x/sys",
		why: "journal keeps bytes: whoever starts processes or reads their output uses it, so it knows neither",
	},
	{
		rooms: "process/code", may: "internal/fault internal/linux", mustNot: "all " + web,
		why: "code makes a command line of a program's text: what starts it is its caller's choice",
	},
	{
		rooms: "process", may: "process/journal internal/fault internal/linux", mustNot: web,
		why: "process is the lowest domain room: imports point from it to its journal, and never back",
	},
	{
		rooms: "telemetry", may: "process/journal internal/fault internal/logkey internal/measure", mustNot: web,
		why: "telemetry measures and encodes: who sends to a collector, and who runs the program whose output that is, " +
			"are its caller's affair",
	},
	{
		rooms: "session interpreter lsp computeruse workspace", may: "=process process/journal " + domainInternal,
		mustNot: web,
		why:     "a domain room is plain Go and stands on process and its journal alone: no HTTP, no sister room",
	},

	{
		rooms: "toolbox", may: "process session interpreter lsp =computeruse workspace telemetry api internal",
		why: "toolbox is the face of the rooms inside a sandbox; it meets the other wire rooms over the wire",
	},
	{
		rooms: "runnerd", may: "api internal",
		why: "a wire room meets the others through interfaces that cmd/sandlot joins, or over the wire",
	},
	{
		rooms: "coordinator", may: "api internal dashboard",
		why: "a wire room meets the others through interfaces that cmd/sandlot joins, or over the wire",
	},
	{
		rooms: "proxy", may: "api internal",
		why: "a wire room meets the others through interfaces that cmd/sandlot joins, or over the wire",
	},

	{
		rooms: "api/client", may: "=api internal/flow", mustNot: "github.com/gin-gonic",
		why: "the Go client is for everyone: wire types, net/http, and how both ends of a connected command pace it",
	},
	{rooms: "api", mustNot: "all net/http", why: "api is wire types only, for everyone to import"},
	{
		rooms: "cli", may: "api internal", mustNot: "github.com/gin-gonic",
		why: "the command line is a client like any other",
	},
	{
		rooms: "internal/serve", may: "internal", mustNot: "all",
		except: "github.com/gin-gonic github.com/go-playground/validator github.com/gorilla/websocket " +
			"github.com/getkin/kin-openapi golang.org/x",
		why: "internal/serve is the HTTP plumbing of every wire room and knows no room",
	},
	{
		rooms: "internal", may: "internal", mustNot: "all github.com/gin-gonic", except: "golang.org/x",
		why: "a leaf stands on the standard library and knows no room",
	},
	{rooms: "tests", may: "api", why: "tests see what a user sees: programs and the wire"},
	{rooms: "dashboard", mustNot: "all", why: "the dashboard is a folder of files"},
}

// domainInternal is what a domain room takes from internal: kinds of errors, states, keys of the log, tokens, the
// rules of names, locks by key, system calls, and words of a shell.
const domainInternal = "internal/fault internal/lifecycle internal/logkey internal/auth internal/naming " +
	"internal/keyed internal/linux internal/shell"

// TestImports holds every package of every program and test to the table.
func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		room := strings.TrimPrefix(p.ImportPath, module+"/")
		i := slices.IndexFunc(rules, func(r rule) bool { return below(room, r.rooms) })
		if i < 0 {
			t.Errorf("%s is in no room of the import table: add a rule for it, and a decision record that says why the room "+
				"is needed", room)
			continue
		}
		for _, path := range p.Imports {
			if err := rules[i].check(room, path); err != nil {
				t.Errorf("%s imports %s: %v: %s", room, path, err, rules[i].why)
			}
		}
	}
}

func (r rule) check(room, path string) error {
	other, ours := strings.CutPrefix(path, module+"/")
	if ours {
		rooms := strings.Fields(r.rooms)
		own := rooms[slices.IndexFunc(rooms, func(in string) bool { return below(room, in) })]
		if below(other, own) || below(other, r.may) {
			return nil
		}
		return errors.New("not in its room's list")
	}
	if below(path, r.except) {
		return nil
	}
	outside := strings.Contains(strings.Split(path, "/")[0], ".")
	if below(path, r.mustNot) || outside && slices.Contains(strings.Fields(r.mustNot), "all") {
		return errors.New("kept out of its room")
	}
	return nil
}

// below says whether path is one of the listed ones or, for those without "=", beneath one.
func below(path, list string) bool {
	return slices.ContainsFunc(strings.Fields(list), func(entry string) bool {
		exact, only := strings.CutPrefix(entry, "=")
		return path == exact || !only && strings.HasPrefix(path, entry+"/")
	})
}

func TestImportTableFindsBreaches(t *testing.T) {
	for _, tc := range []struct {
		room, imports string
		want          bool
	}{
		{"session", "net/http", false},
		{"session", "context", true},
		{"session", module + "/process", true},
		{"session", module + "/workspace", false},
		{"session", module + "/internal/serve", false},
		{"session/pty", module + "/session", true},
		{"toolbox", module + "/session", true},
		{"toolbox", module + "/computeruse/x11", false},
		{"toolbox", module + "/coordinator", false},
		{"runnerd", module + "/runnerd/sandbox", true},
		{"runnerd/docker", module + "/runnerd/network", false},
		{"coordinator/fleet", "database/sql", false},
		{"coordinator/store", "database/sql", true},
		{"process", module + "/internal/lifecycle", false},
		{"process", module + "/process/journal", true},
		{"process/journal", module + "/process", false},
		{"process/journal", module + "/internal/fault", false},
		{"process/journal", "golang.org/x/sys/unix", true},
		{"process/code", module + "/process", false},
		{"session", module + "/process/code", false},
		{"telemetry", "net/http", false},
		{"telemetry", module + "/session", false},
		{"telemetry", module + "/process/journal", true},
		{"session", module + "/process/journal", true},
		{"api", "github.com/gin-gonic/gin", false},
		{"api", "net/http", false},
		{"api/client", "net/http", true},
		{"internal/serve", "github.com/gin-gonic/gin", true},
		{"internal/fault", "github.com/gin-gonic/gin", false},
		{"internal/fault", module + "/toolbox", false},
		{"tests/e2e", module + "/tests/harness", true},
		{"tests/e2e", module + "/toolbox", false},
		{"cmd/sandlot", module + "/cmd/toolboxd", false},
		{"cmd/sandlot", module + "/runnerd/docker", true},
	} {
		r := rules[slices.IndexFunc(rules, func(r rule) bool { return below(tc.room, r.rooms) })]
		if err := r.check(tc.room, tc.imports); (err == nil) != tc.want {
			t.Errorf("%s imports %s: %v, want allowed %t", tc.room, tc.imports, err, tc.want)
		}
	}
}

type pkg struct {
	ImportPath, Dir, Name, Doc string
	GoFiles, CgoFiles          []string
	Imports                    []string
}

// packages is every package of the module that is not only tests, those behind build tags included. Those of tests/
// come with the imports of their test files.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-tags", "e2e",
		"-json=ImportPath,Dir,Name,Doc,GoFiles,CgoFiles,Imports,TestImports,XTestImports", "./...")
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			pkg
			TestImports, XTestImports []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(fmt.Errorf("go list's answer: %w", err))
		}
		if p.ImportPath == module {
			continue // this folder holds no code
		}
		if strings.HasPrefix(p.ImportPath, module+"/tests/") {
			p.Imports = slices.Concat(p.Imports, p.TestImports, p.XTestImports)
		}
		all = append(all, p.pkg)
	}
	if len(all) == 0 {
		t.Fatal("go list found no package")
	}
	return all
}
