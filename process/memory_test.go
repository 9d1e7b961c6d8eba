package process_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandlot-dev/sandlot/process"
)

// counted is a kernel that has killed so many processes for memory.
type counted int64

func (c *counted) Kills() int64 { return int64(*c) }

func (c *counted) Peak() (peak, limit int64) { return 1000, 2000 }

// TestOnlyEndsForMemoryAreToldSo has a kernel that counts what it kills, and ends by SIGKILL: each wants to know
// whether it is one of these.
func TestOnlyEndsForMemoryAreToldSo(t *testing.T) {
	kernel := counted(7) // before there was this program
	kill := func(n counted) { kernel += n }
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
