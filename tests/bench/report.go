package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// Row is one measured figure and what it is held to. Floor and Raw are 0 where there is no such baseline.
type Row struct {
	Scenario string  `json:"scenario"`
	What     string  `json:"what"`
	Unit     string  `json:"unit"` // ms, /s, M/s, MB/s, MiB, MB, ms/s, times or processes
	Ours     float64 `json:"ours"`
	Floor    float64 `json:"floor,omitempty"`
	Raw      float64 `json:"raw,omitempty"`
	Goal     string  `json:"goal,omitempty"` // "" for a figure that is only told
	Met      bool    `json:"met"`
	Note     string  `json:"note,omitempty"`
}

// Report is one run.
type Report struct {
	At      time.Time `json:"at"`
	Machine string    `json:"machine"`
	Quick   bool      `json:"quick,omitempty"`
	Rows    []Row     `json:"rows"`
	Failed  []string  `json:"failed,omitempty"`
}

// atMost holds a row to a limit of its own unit.
func (r Row) atMost(limit float64) Row {
	r.Goal, r.Met = fmt.Sprintf("≤ %g %s", limit, r.Unit), r.Ours <= limit
	return r
}

// atMostRaw holds a row to a multiple of raw.
func (r Row) atMostRaw(times float64) Row {
	r.Goal, r.Met = fmt.Sprintf("≤ %g × raw", times), r.Raw > 0 && r.Ours <= times*r.Raw
	return r
}

// atMostFloor holds a row to a multiple of the floor.
func (r Row) atMostFloor(times float64) Row {
	r.Goal, r.Met = fmt.Sprintf("≤ %g × floor", times), r.Floor > 0 && r.Ours <= times*r.Floor
	return r
}

// atLeast holds a rate to a figure of its own unit.
func (r Row) atLeast(limit float64) Row {
	r.Goal, r.Met = fmt.Sprintf("≥ %g %s", limit, r.Unit), r.Ours >= limit
	return r
}

// atLeastRaw holds a rate to a share of raw.
func (r Row) atLeastRaw(share float64) Row {
	r.Goal, r.Met = fmt.Sprintf("≥ %g × raw", share), r.Raw > 0 && r.Ours >= share*r.Raw
	return r
}

// atLeastFloor holds a rate to a share of the floor.
func (r Row) atLeastFloor(share float64) Row {
	r.Goal, r.Met = fmt.Sprintf("≥ %g × floor", share), r.Floor > 0 && r.Ours >= share*r.Floor
	return r
}

func (r Report) print(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	colour := terminal(w) && os.Getenv("NO_COLOR") == ""
	paint := func(code, text string) string {
		if !colour {
			return text
		}
		return "\033[" + code + "m" + text + "\033[0m"
	}
	var buf strings.Builder
	tw := tabwriter.NewWriter(&buf, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "\tours\tfloor\traw\t÷ floor\t÷ raw\tgoal\t")
	last := ""
	for _, row := range r.Rows {
		if row.Scenario != last && last != "" {
			_, _ = fmt.Fprintln(tw, "\t\t\t\t\t\t\t")
		}
		last = row.Scenario
		verdict := " "
		if row.Goal != "" {
			verdict = "✗ missed"
			if row.Met {
				verdict = "✓"
			}
		}
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", row.What, amount(row.Ours, row.Unit),
			base(row.Floor, row.Unit), base(row.Raw, row.Unit),
			ratio(row.Ours, row.Floor), ratio(row.Ours, row.Raw), row.Goal, verdict)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	met, goals := 0, 0
	for i, line := range strings.Split(strings.TrimRight(buf.String(), "\n"), "\n") {
		line = strings.TrimRight(line, " ")
		switch {
		case i == 0:
			line = paint("1", line)
		case strings.HasSuffix(line, "✓"):
			line = strings.TrimSuffix(line, "✓") + paint("32", "✓")
			met, goals = met+1, goals+1
		case strings.HasSuffix(line, "✗ missed"):
			line = strings.TrimSuffix(line, "✗ missed") + paint("31", "✗ missed")
			goals++
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	for _, row := range r.Rows {
		if row.Note != "" {
			_, _ = fmt.Fprintf(w, "\n%s: %s\n", row.What, row.Note)
		}
	}
	for _, f := range r.Failed {
		_, _ = fmt.Fprintf(w, "\n%s %s\n", paint("31", "not measured:"), f)
	}
	_, err := fmt.Fprintf(w, "\n%d of %d goals met on %s. Medians; on a shared machine the ratios count.\n", met, goals,
		r.Machine)
	return err
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

func amount(v float64, unit string) string {
	switch {
	case v == 0:
		return "0 " + unit
	case math.Abs(v) >= 100:
		return fmt.Sprintf("%.0f %s", v, unit)
	case math.Abs(v) >= 10:
		return fmt.Sprintf("%.1f %s", v, unit)
	default:
		return fmt.Sprintf("%.2f %s", v, unit)
	}
}

func base(v float64, unit string) string {
	if v == 0 {
		return ""
	}
	return amount(v, unit)
}

func ratio(v, of float64) string {
	if of == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", v/of)
}

func machine() string {
	model := runtime.GOARCH
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	var u unix.Utsname
	_ = unix.Uname(&u)
	return fmt.Sprintf("%d × %s, Linux %s", runtime.NumCPU(), model, unix.ByteSliceToString(u.Release[:]))
}
