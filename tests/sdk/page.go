package sdk

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Outcome is what became of one method.
type Outcome struct {
	Status string `json:"status"` // works, partial, refused, 501 or fails
	Detail string `json:"detail"` // for people; on the page only of what is partial
}

// Table is what one client's program printed.
type Table struct {
	Version string             `json:"version"`
	Methods map[string]Outcome `json:"methods"`
}

var words = map[string]string{
	"works":   "works",
	"partial": "works, ",
	"refused": "refused, as the contract has it",
	"501":     "not built yet (501)",
	"fails":   "**fails**",
}

const preface = "# What the published clients can do today\n\n" +
	"<!-- Written by tests/sdk; run \"go test -tags e2e ./tests/sdk -update\" after a change. -->\n\n" +
	"Every public method of the published clients, called against a running Sandlot. A method works when what it gives " +
	"is right: its result, or what it\n" +
	"changed, was compared with what it has to be. \"In part\" is a method that leaves something out, which its line " +
	"names.\n" +
	"\"Refused\" is an answer that the contract itself gives in this place, such as 422 for the pause of a container.\n\n"

// Page is docs/compatibility.md: the table of both clients, and the releases that run the small program.
func Page(sync, async, typescript Table) string {
	var b strings.Builder
	b.WriteString(preface)
	b.WriteString("| Client | Release | Methods | Work | In part | Refused | Not built yet | Fail |\n| --- | --- | --- " +
		"| --- | --- | --- | --- | --- |\n")
	for _, t := range []struct {
		name string
		Table
	}{
		{"Python `daytona`, `Daytona`", sync},
		{"Python `daytona`, `AsyncDaytona`", async},
		{"TypeScript `@daytona/sdk`", typescript},
	} {
		n := map[string]int{}
		for _, o := range t.Methods {
			n[o.Status]++
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %d | %d |\n", t.name, t.Version, len(t.Methods), n["works"],
			n["partial"], n["refused"], n["501"], n["fails"])
	}
	fmt.Fprintf(&b, "\n## Releases\n\nOne program (create, exec, code, files, session, git, list, get, labels, preview "+
		"link, stop, start, delete) runs with each of these releases, and every\n"+
		"result is right: those in bold in every run of the tests, all of them with `make clients`.\n\n- Python `daytona` "+
		"%s\n- TypeScript `@daytonaio/sdk` %s\n\n"+
		"Releases before 0.18 speak an older API that is not served. The pre-release 2.0 of the Python client speaks a "+
		"newer one: install `daytona<1`. Its\n"+
		"namespace `v0` works where `DAYTONA_V0_API_URL` is set, which `sandlot env` prints.\n", list(PythonReleases),
		list(NodeReleases))
	fmt.Fprintf(&b, "\n## Python\n\n| Method | `Daytona` | `AsyncDaytona` |\n| --- | --- | --- |\n")
	for _, name := range names(sync, async) {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, word(sync, name), word(async, name))
	}
	fmt.Fprintf(&b, "\n## TypeScript\n\n| Method | Today |\n| --- | --- |\n")
	for _, name := range names(typescript) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, word(typescript, name))
	}
	return b.String()
}

// list names releases, those of every run in bold.
func list(releases []Release) string {
	var words []string
	for _, r := range releases {
		word := r.Version
		if r.Always {
			word = "**" + word + "**"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func names(tables ...Table) []string {
	all := map[string]bool{}
	for _, t := range tables {
		for name := range t.Methods {
			all[name] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func word(t Table, name string) string {
	o, ok := t.Methods[name]
	if !ok {
		return "–"
	}
	if o.Status == "partial" {
		return words[o.Status] + o.Detail
	}
	return words[o.Status]
}
