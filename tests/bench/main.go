// Bench measures Sandlot against two baselines in the same run: the floor, a few lines of net/http in a process of
// their own, and raw, the same work with no server. On a shared machine ratios count; absolute figures do not.
//
//	go run ./tests/bench [--json] [--quick] [--image NAME] [scenario...]
//	go run ./tests/bench --list
//
// toolboxd is measured as a process on loopback; what needs a whole Sandlot starts a private one, and needs a Docker
// engine. Both are taken from bin/ (make build). Scenarios of one run alternate between ours and the baselines, so
// that noise hits all alike.
//
// Exit codes: 0 when all was measured (goals met or not), 1 when something could not be measured, 2 for bad
// arguments.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "floor" {
		os.Exit(serveFloor(os.Args[2]))
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// scenario is one thing that can be measured, by name.
type scenario struct {
	name, about string
	measure     func(*bench) ([]Row, error)
}

var scenarios = []scenario{
	{"execute", "one command, latency, one client", (*bench).execute},
	{"clients", "commands per second of 8 and 32 clients", (*bench).clients},
	{"output", "64 MiB of output: time and peak memory", (*bench).output},
	{"upload", "a file of 512 MiB in, raw and in a form", (*bench).upload},
	{"download", "a file of 512 MiB out", (*bench).download},
	{"bulk", "200 files of 1 KiB in and out in one form", (*bench).bulk},
	{"replace", "a text in 1,000 files", (*bench).replace},
	{"info", "what one file is", (*bench).info},
	{"list", "a folder of 10,000 entries", (*bench).list},
	{"session", "a shell session: next command, create, delete", (*bench).sessions},
	{"follow", "following a command: first byte, end, lines per second", (*bench).following},
	{"terminal", "keystroke echo of a terminal", (*bench).terminal},
	{"interpreter", "a cell, contexts, eight cells at once, workers of an idle daemon", (*bench).interpreter},
	{"code-run", "a Python program, warm and cold; one that draws", (*bench).program},
	{"find", "text and names in 20,000 files", (*bench).find},
	{"git", "status, add and clone of 20,000 files", (*bench).repository},
	{"start", "from start to the first healthy answer", (*bench).start},
	{"idle", "memory, wake-ups and processor time of an idle daemon; its size on disk", (*bench).idle},
	{"create", "create to first output through the API, against bare docker", (*bench).create},
	{"proxy", "one command through proxy and container", (*bench).proxied},
	{"way", "what the proxy adds to a request, a message and a file", (*bench).way},
	{"sandlot", "memory and processor time of an idle Sandlot and its sandbox", (*bench).sandlotIdle},
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	asJSON := flags.Bool("json", false, "print one JSON object and nothing else")
	list := flags.Bool("list", false, "print the scenarios and stop")
	quick := flags.Bool("quick", false, "measure a tenth, to see that it runs")
	image := flags.String("image", "", "image of the sandboxes; default is Sandlot's own")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *list {
		for _, s := range scenarios {
			_, _ = fmt.Fprintf(stdout, "%-11s %s\n", s.name, s.about)
		}
		return 0
	}
	for _, name := range flags.Args() {
		if !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.name == name }) {
			_, _ = fmt.Fprintf(stderr, "bench: no scenario %q; --list shows them\n", name)
			return 2
		}
	}
	b, err := newBench(*image, *quick)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	defer b.close(stderr)
	report, code := Report{At: time.Now().UTC(), Machine: machine(), Quick: *quick}, 0
	for _, s := range scenarios {
		if len(flags.Args()) > 0 && !slices.Contains(flags.Args(), s.name) {
			continue
		}
		progress(stderr, "%s: %s …", s.name, s.about)
		rows, err := s.measure(b)
		for i := range rows {
			rows[i].Scenario = s.name
		}
		report.Rows = append(report.Rows, rows...)
		if err != nil {
			code = 1
			report.Failed = append(report.Failed, fmt.Sprintf("%s: %v", s.name, strings.TrimSpace(err.Error())))
		}
	}
	progress(stderr, "")
	if err := report.print(stdout, *asJSON); err != nil {
		_, _ = fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return code
}

// progress shows what is going on, on a terminal alone.
func progress(w io.Writer, format string, args ...any) {
	if terminal(w) {
		_, _ = fmt.Fprintf(w, "\r\033[K"+format, args...)
	}
}
