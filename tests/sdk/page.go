package sdk

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Outcome is what became of one method.
type Outcome struct {
	Status string `json:"status"` // works, refused, 501 or fails
	Detail string `json:"detail"` // for people; not part of the page
}

// Table is what one client's program printed.
type Table struct {
	Version string             `json:"version"`
	Methods map[string]Outcome `json:"methods"`
}

var words = map[string]string{
	"works":   "works",
	"refused": "refused, as the contract has it",
	"501":     "not built yet (501)",
	"fails":   "**fails**",
}

// Page is docs/compatibility.md: the table of both clients, and the releases that run the small program.
func Page(sync, async, typescript Table, releases []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# What the published clients can do today

<!-- Written by tests/sdk; run "go test -tags e2e ./tests/sdk -update" after a change. -->

Every public method of the published clients, called against a running Sandlot. Python's releases %s all run the
same small program (create, get, list, exec, code, files, stop, start, delete).

| Client | Release | Methods | Work | Refused | Not built yet | Fail |
| --- | --- | --- | --- | --- | --- | --- |
`, strings.Join(releases, ", "))
	for _, t := range []struct {
		name string
		Table
	}{{"Python `daytona`, `Daytona`", sync}, {"Python `daytona`, `AsyncDaytona`", async}, {"TypeScript `@daytona/sdk`", typescript}} {
		n := map[string]int{}
		for _, o := range t.Methods {
			n[o.Status]++
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %d |\n", t.name, t.Version, len(t.Methods), n["works"], n["refused"], n["501"], n["fails"])
	}
	fmt.Fprintf(&b, "\n\"Refused\" is an answer that the contract itself gives in this place, such as 422 for the pause of a container.\n")
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
	return words[o.Status]
}
