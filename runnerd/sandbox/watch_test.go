package sandbox_test

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/runnerd/sandbox"
)

func TestEndIsReportedAtOnceWithItsReason(t *testing.T) {
	for name, tc := range map[string]struct {
		how  func(*sandbox.Container)
		want string
	}{
		"memory": {func(c *sandbox.Container) { c.OutOfMemory, c.ExitCode = true, 137 }, "it used more memory than it may"},
		"signal": {func(c *sandbox.Container) { c.ExitCode = 139 }, "its first process was ended by signal 11"},
		"code":   {func(c *sandbox.Container) { c.ExitCode = 3 }, "its first process ended with code 3"},
		"clean":  {func(c *sandbox.Container) { c.ExitCode = 0 }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			world(t, 0, func(t *testing.T, m *sandbox.Manager, e *engine, _ *answers, c *coordinator) {
				if _, err := m.Create(t.Context(), spec("a")); err != nil {
					t.Fatal(err)
				}
				e.end("a", tc.how)
				r := c.last(t)
				if r.Full || len(r.Sandboxes) != 1 || r.Sandboxes[0].State != lifecycle.Stopped ||
					r.Sandboxes[0].Reason != tc.want {
					t.Errorf("report = %+v, want stopped: %q", r, tc.want)
				}
			})
		})
	}
}

func TestOurOwnStopIsNotReportedAsAnEnd(t *testing.T) {
	world(t, 0, func(t *testing.T, m *sandbox.Manager, e *engine, _ *answers, c *coordinator) {
		if _, err := m.Create(t.Context(), spec("a")); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Stop(t.Context(), "a", false); err != nil {
			t.Fatal(err)
		}
		if r := c.last(t); !r.Full {
			t.Errorf("reported %+v", r)
		}
	})
}

func TestRemovedBySomeoneElse(t *testing.T) {
	world(t, 0, func(t *testing.T, m *sandbox.Manager, e *engine, _ *answers, c *coordinator) {
		if _, err := m.Create(t.Context(), spec("a")); err != nil {
			t.Fatal(err)
		}
		if err := e.Remove(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if r := c.last(t); len(r.Sandboxes) != 1 || r.Sandboxes[0].State != lifecycle.Destroyed ||
			r.Sandboxes[0].Reason == "" {
			t.Errorf("report = %+v", r)
		}
	})
}

func TestEngineIsFoundAgainAndAllIsReported(t *testing.T) {
	world(t, 0, func(t *testing.T, m *sandbox.Manager, e *engine, _ *answers, c *coordinator) {
		if _, err := m.Create(t.Context(), spec("a")); err != nil {
			t.Fatal(err)
		}
		e.crash()
		synctest.Wait()
		if err := m.Ready(); !errors.Is(err, sandbox.ErrEngineDown) {
			t.Errorf("Ready = %v, want ErrEngineDown", err)
		}
		if _, err := m.Create(t.Context(), spec("b")); !errors.Is(err, sandbox.ErrEngineDown) {
			t.Errorf("Create = %v, want ErrEngineDown", err)
		}
		time.Sleep(time.Minute)
		e.back()
		time.Sleep(3 * time.Second)
		if err := m.Ready(); err != nil {
			t.Errorf("Ready = %v", err)
		}
		if r := c.last(t); !r.Full || len(r.Sandboxes) != 1 || r.Sandboxes[0].State != lifecycle.Stopped {
			t.Errorf("report = %+v, want all: a is stopped", r)
		}
		if _, err := m.Address("a"); err == nil {
			t.Error("an ended sandbox still has an address")
		}
	})
}

func TestWhatIsLeftOfDeletedSandboxesIsRemoved(t *testing.T) {
	world(t, 0, func(t *testing.T, _ *sandbox.Manager, e *engine, _ *answers, c *coordinator) {
		e.made(t, "stranger")
		c.mu.Lock()
		c.surplus = []string{"stranger"}
		c.mu.Unlock()
		time.Sleep(31 * time.Second) // a heartbeat
		synctest.Wait()
		if len(e.has) != 0 {
			t.Error("what the coordinator says was deleted is left")
		}
	})
}

func TestAnEndIsToldUntilItIsTaken(t *testing.T) {
	world(t, 0, func(t *testing.T, m *sandbox.Manager, e *engine, _ *answers, c *coordinator) {
		o, err := m.Create(t.Context(), spec("a"))
		if err != nil {
			t.Fatal(err)
		}
		c.mu.Lock()
		c.fail = errors.New("database is gone")
		c.mu.Unlock()
		e.end("a", func(c *sandbox.Container) { c.ExitCode = 3 })
		first := c.last(t).Sandboxes[0]
		if first.Cause != lifecycle.Itself || first.Seq <= o.Seq {
			t.Errorf("told %+v after %+v; want an end of its own with a higher number", first, o)
		}
		// sooner than a heartbeat
		for _, wait := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second} {
			c.mu.Lock()
			c.reports = nil
			c.mu.Unlock()
			time.Sleep(wait)
			if r := c.last(t); !r.Full || len(r.Sandboxes) != 1 || r.Sandboxes[0] != first || r.Seq < first.Seq {
				t.Errorf("heartbeat %+v, want the same finding %+v", r, first)
			}
		}
		again, err := m.Start(t.Context(), "a")
		if err != nil || again.Seq <= first.Seq {
			t.Errorf("Start = %+v, %v", again, err)
		}
		time.Sleep(30 * time.Second)
		if r := c.last(t); r.Sandboxes[0] != again {
			t.Errorf("heartbeat %+v, want %+v", r, again)
		}
	})
}

func TestAHeartbeatThatSeesAnEndFirstTellsWhatItWas(t *testing.T) {
	world(t, 0, func(t *testing.T, m *sandbox.Manager, e *engine, _ *answers, c *coordinator) {
		if _, err := m.Create(t.Context(), spec("a")); err != nil {
			t.Fatal(err)
		}
		e.mu.Lock()
		e.has["a"].Running, e.has["a"].OutOfMemory, e.has["a"].Addr = false, true, netip.Addr{}
		e.mu.Unlock()
		time.Sleep(31 * time.Second)
		if r := c.last(t); !r.Full || r.Sandboxes[0].Cause != lifecycle.Itself || r.Sandboxes[0].Reason == "" {
			t.Errorf("heartbeat %+v, want an end of its own", r)
		}
	})
}

func TestAnEndWithTheEngineIsToldAsSuch(t *testing.T) {
	world(t, 0, func(t *testing.T, m *sandbox.Manager, e *engine, _ *answers, c *coordinator) {
		if _, err := m.Create(t.Context(), spec("a")); err != nil {
			t.Fatal(err)
		}
		e.crash()
		time.Sleep(time.Second)
		e.back()
		time.Sleep(3 * time.Second)
		if r := c.last(t); !r.Full || r.Sandboxes[0].State != lifecycle.Stopped ||
			r.Sandboxes[0].Cause != lifecycle.WithHost {
			t.Errorf("report %+v, want an end with the engine", r)
		}
	})
}

func TestRestartBehindOurBackIsReportedForItsNewAddress(t *testing.T) {
	world(t, 0, func(t *testing.T, m *sandbox.Manager, e *engine, _ *answers, c *coordinator) {
		if _, err := m.Create(t.Context(), spec("a")); err != nil {
			t.Fatal(err)
		}
		before, _ := m.Address("a")
		if err := e.Stop(t.Context(), "a", 0); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Start(t.Context(), e.has["a"].Container); err != nil {
			t.Fatal(err)
		}
		r := c.last(t)
		after, err := m.Address("a")
		if err != nil || after == before || r.Full || r.Sandboxes[0].State != lifecycle.Started {
			t.Errorf("address %v → %v, %v; report %+v", before, after, err, r)
		}
	})
}
