package sandbox_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/runnerd/sandbox"
)

// answers is a Toolbox that answers, or does not.
type answers struct {
	err    error
	silent bool // it does not answer until the caller gives up
}

func (a *answers) Ready(ctx context.Context, _ sandbox.Address) (string, error) {
	if a.silent {
		<-ctx.Done()
		return "", ctx.Err()
	}
	return "v1", a.err
}

// spec describes a sandbox.
func spec(id string) lifecycle.Spec {
	return lifecycle.Spec{
		Identity: lifecycle.Identity{ID: id}, Resources: lifecycle.Resources{CPU: 1, Memory: 1}, Image: "image",
	}
}

// coordinator keeps reports and answers surplus.
type coordinator struct {
	mu      sync.Mutex
	reports []lifecycle.Report
	surplus []string
	fail    error
}

func (c *coordinator) Report(_ context.Context, r lifecycle.Report) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reports = append(c.reports, r)
	return c.surplus, c.fail
}

func (c *coordinator) last(t *testing.T) lifecycle.Report {
	t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.reports) == 0 {
		t.Fatal("no report")
	}
	return c.reports[len(c.reports)-1]
}

func world(
	t *testing.T, minFree uint64, do func(t *testing.T, m *sandbox.Manager, e *engine, tb *answers, c *coordinator),
) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e, tb, c := newEngine(), &answers{}, &coordinator{}
		m, err := sandbox.New(sandbox.Config{
			Runner: "r", Driver: e, Toolbox: tb, Key: []byte("k"), Inject: "/inject", MinFree: minFree,
			Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- m.Run(ctx, c) }()
		<-m.Begun()
		do(t, m, e, tb, c)
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestLife(t *testing.T) {
	world(t, 0, func(t *testing.T, m *sandbox.Manager, e *engine, _ *answers, _ *coordinator) {
		for range 2 { // every step may be repeated
			o, err := m.Create(t.Context(), spec("a"))
			if err != nil || o.State != lifecycle.Started || o.DaemonVersion != "v1" {
				t.Fatalf("Create = %+v, %v", o, err)
			}
		}
		at, err := m.Address("a")
		if err != nil || !at.Addr.IsValid() || at.Secret == "" {
			t.Errorf("Address = %+v, %v", at, err)
		}
		if o, err := m.Stop(t.Context(), "a", false); err != nil || o.State != lifecycle.Stopped {
			t.Errorf("Stop = %+v, %v", o, err)
		}
		if _, err := m.Address("a"); !errors.Is(err, sandbox.ErrNotFound) {
			t.Errorf("address of a stopped sandbox: %v, want ErrNotFound", err)
		}
		if o, err := m.Start(t.Context(), "a"); err != nil || o.State != lifecycle.Started {
			t.Errorf("Start = %+v, %v", o, err)
		}
		for range 2 {
			if err := m.Remove(t.Context(), "a"); err != nil {
				t.Error(err)
			}
		}
		if len(e.has) != 0 {
			t.Error("a container is left")
		}
	})
}

func TestFailedCreateLeavesNoContainer(t *testing.T) {
	for name, prepare := range map[string]func(*engine, *answers){
		"engine refuses to start it": func(e *engine, _ *answers) { e.refuse = fault.New(fault.Full, "no room") },
		"toolbox does not answer":    func(_ *engine, tb *answers) { tb.err = errors.New("refused") },
	} {
		t.Run(name, func(t *testing.T) {
			world(t, 0, func(t *testing.T, m *sandbox.Manager, e *engine, tb *answers, _ *coordinator) {
				prepare(e, tb)
				if _, err := m.Create(t.Context(), spec("a")); err == nil {
					t.Error("no error")
				}
				if len(e.has) != 0 {
					t.Error("a container is left")
				}
			})
		})
	}
}

func TestNoRoomIsSaidBeforeAnythingIsMade(t *testing.T) {
	world(t, 1<<30, func(t *testing.T, m *sandbox.Manager, e *engine, _ *answers, _ *coordinator) {
		e.free = 1 << 20
		_, err := m.Create(t.Context(), spec("a"))
		if fault.KindOf(err) != fault.Full || fault.CodeOf(err) != "RUNNER_DISK_FULL" || len(e.has) != 0 {
			t.Errorf("error = %v, %d containers", err, len(e.has))
		}
	})
}

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

func TestNumbersGoOnAfterThoseThatWereTaken(t *testing.T) {
	m, err := sandbox.New(sandbox.Config{
		Runner: "r", After: 1000, Driver: newEngine(), Toolbox: &answers{}, Key: []byte("k"), Inject: "/inject",
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if o, err := m.Create(t.Context(), spec("a")); err != nil || o.Seq <= 1000 {
		t.Errorf("Create = %+v, %v; want a number above 1000", o, err)
	}
}

func TestAnEndWhileStartingIsToldAtOnce(t *testing.T) {
	world(t, 0, func(t *testing.T, m *sandbox.Manager, e *engine, tb *answers, _ *coordinator) {
		tb.silent = true
		go func() {
			time.Sleep(100 * time.Millisecond)
			e.end("a", func(c *sandbox.Container) { c.ExitCode = 3 })
		}()
		began := time.Now()
		_, err := m.Create(t.Context(), spec("a"))
		if took := time.Since(began); err == nil ||
			!strings.Contains(err.Error(), "ended while it started: its first process ended with code 3") || took > time.Second {
			t.Errorf("Create: %v after %v; want the reason at once", err, took)
		}
	})
}

// TestAFailedStartOfWhatWasThereRemovesNothing is a create that is taken up again after a crash, or told by an old
// record.
func TestAFailedStartOfWhatWasThereRemovesNothing(t *testing.T) {
	world(t, 0, func(t *testing.T, m *sandbox.Manager, e *engine, tb *answers, c *coordinator) {
		e.made(t, "a")
		tb.err = errors.New("no answer")
		if _, err := m.Create(t.Context(), spec("a")); err == nil {
			t.Error("no error")
		}
		if e.has["a"] == nil {
			t.Fatal("a container that an earlier call made was removed")
		}
		time.Sleep(31 * time.Second)
		if r := c.last(t); r.Sandboxes[0].Cause != lifecycle.Unknown {
			t.Errorf("heartbeat %+v: our own start is told as the sandbox's", r)
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

func TestOperationsOnOneSandboxDoNotOverlap(t *testing.T) {
	world(t, 0, func(t *testing.T, m *sandbox.Manager, e *engine, _ *answers, _ *coordinator) {
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				id := string(rune('a' + i%5))
				if _, err := m.Create(t.Context(), spec(id)); err != nil {
					t.Error(err)
				}
				if i%2 == 0 {
					if err := m.Remove(t.Context(), id); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		list, _ := e.List(t.Context())
		for _, c := range list {
			if _, err := m.Address(c.ID); err != nil || !c.Running {
				t.Errorf("container %s: running %v, %v", c.ID, c.Running, err)
			}
		}
		if slices.ContainsFunc(list, func(c sandbox.Container) bool { return c.ID == "" }) {
			t.Error("a container without an id")
		}
	})
}
