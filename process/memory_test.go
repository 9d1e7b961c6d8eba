package process_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/process"
)

// counted is a kernel that has killed so many processes for memory.
type counted struct{ atomic.Int64 }

func (c *counted) Kills() int64 { return c.Load() }

func (c *counted) Peak() (peak, limit int64) { return 1000, 2000 }

// TestOnlyEndsForMemoryAreToldSo has a kernel that counts what it kills, and ends by SIGKILL: each wants to know
// whether it is one of these.
func TestOnlyEndsForMemoryAreToldSo(t *testing.T) {
	var kernel counted
	kernel.Store(7) // before there was this program
	kill := func(n int64) { kernel.Add(n) }
	synctest.Test(t, func(t *testing.T) {
		k := process.NewMemoryKills(&kernel)
		want := func(what string, since int64, told bool) {
			t.Helper()
			if o := k.Take(since); (o != nil) != told {
				t.Errorf("%s: told %v, want %v", what, o, told)
			} else if told && *o != (process.OutOfMemory{Peak: 1000, Limit: 2000}) {
				t.Errorf("%s: %+v", what, *o)
			}
		}
		first := k.Noticed()
		want("nothing was killed for memory", first, false)
		kill(1)
		want("one was, and this is it", first, true)
		want("another end at the same time", first, false)
		kill(2)
		want("the first of two", first, true)
		want("the second of two", first, true)
		want("no third", first, false)
		kill(1)
		k.Look()
		want("one that was started after the kill", k.Noticed(), false)
		want("the one that took its time to go", first, true)
		kill(1)
		k.Look()                      // it met what nobody here waits for
		<-time.After(4 * time.Second) // of the bubble's clock
		want("an end long after", first, false)
		kill(1)
		want("and one that is due to a new kill", first, true)
	})
}

// TestEndsByOrderAreNotForMemory has the kernel kill for memory while a process runs that then ends by SIGKILL: only
// where nobody here has ordered that end is it told to be for memory.
func TestEndsByOrderAreNotForMemory(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*process.Process)
		told bool
	}{
		"nobody": {func(p *process.Process) { _ = unix.Kill(p.PID(), unix.SIGKILL) }, true},
		"Signal": {func(p *process.Process) { p.Signal(unix.SIGKILL, false) }, false},
		"another signal": {func(p *process.Process) {
			p.Signal(unix.SIGTERM, false)
			_ = unix.Kill(p.PID(), unix.SIGKILL)
		}, true},
		"Kill":         {(*process.Process).Kill, false},
		"KillWith":     {func(p *process.Process) { p.KillWith(process.OwnSession) }, false},
		"End":          {func(p *process.Process) { p.End(0) }, false},
		"EndWith":      {func(p *process.Process) { p.EndWith(process.OwnSession, 0) }, false},
		"time is over": {func(*process.Process) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var kernel counted
			m := newManager(t, process.Config{Memory: &kernel})
			spec := process.Spec{Script: "trap '' TERM HUP; echo ready; exec sleep 1000"}
			if name == "time is over" {
				spec.Timeout = time.Second
			}
			p, err := m.Start(spec)
			if err != nil {
				t.Fatal(err)
			}
			r := p.Output().Follow(0)
			defer r.Close()
			if _, err := r.Next(t.Context()); err != nil { // it has set its traps
				t.Fatal(err)
			}
			kernel.Add(1)
			c.end(p)
			res := p.Result()
			if res.ExitCode != process.CodeKilled || (res.OutOfMemory != nil) != c.told {
				t.Errorf("ended by %s: %d, %v; want %d, told %v", name, res.ExitCode, res.OutOfMemory, process.CodeKilled, c.told)
			}
		})
	}
}
