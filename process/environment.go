package process

import (
	"slices"
	"strings"
	"sync"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// marker is the variable by which descendants are found, beside their tag.
const marker = "SANDLOT_PROCESS"

// environment holds the variables of later processes. It is safe for concurrent use.
type environment struct {
	mu   sync.Mutex
	vars []string // NAME=VALUE; replaced whole, never changed
}

func newEnvironment(vars []string) *environment { return &environment{vars: withoutOwn(vars)} }

// withoutOwn leaves out variables that are for this program alone.
func withoutOwn(vars []string) []string {
	return slices.DeleteFunc(slices.Clone(vars), func(v string) bool { return strings.HasPrefix(v, "SANDLOT_") })
}

// all returns every variable. The slice must not be changed.
func (e *environment) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.vars
}

// change is Manager.ChangeEnv.
func (e *environment) change(set map[string]string, unset []string, dropPrefix string) error {
	if err := CheckVariables(set); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	kept := slices.DeleteFunc(slices.Clone(e.vars), func(v string) bool {
		name, value, _ := strings.Cut(v, "=")
		_, isSet := set[name]
		return isSet || slices.Contains(unset, name) || dropPrefix != "" && strings.HasPrefix(value, dropPrefix)
	})
	for name, value := range set {
		kept = append(kept, name+"="+value)
	}
	e.vars = withoutOwn(kept)
	return nil
}

// of returns the variables of one process: extra ones win, PWD is dir, and the marker is id.
func (e *environment) of(dir, id string, extra map[string]string) []string {
	base := e.all()
	vars := make([]string, 0, len(base)+len(extra)+2)
	for _, v := range base {
		name, _, _ := strings.Cut(v, "=")
		if _, ok := extra[name]; !ok && name != "PWD" {
			vars = append(vars, v)
		}
	}
	for name, value := range extra {
		if name != marker && name != scriptVariable && name != "PWD" {
			vars = append(vars, name+"="+value)
		}
	}
	return append(vars, "PWD="+dir, marker+"="+id)
}

// lookup returns the value of a variable, "" when there is none.
func lookup(vars []string, name string) string {
	for _, v := range vars {
		if n, value, _ := strings.Cut(v, "="); n == name {
			return value
		}
	}
	return ""
}

// CheckVariables refuses what no environment can hold; every other name is left to the program that gets it. Error:
// fault.Invalid.
func CheckVariables(env map[string]string) error {
	for name, value := range env {
		switch {
		case name == "":
			return fault.New(fault.Invalid, "a variable has no name")
		case strings.ContainsAny(name, "=\x00"):
			return fault.Newf(fault.Invalid, "%q cannot name a variable: it holds = or a NUL byte", name)
		case strings.Contains(value, "\x00"):
			return fault.Newf(fault.Invalid, "variable %s holds a NUL byte, which no environment can hold", name)
		}
	}
	return nil
}
