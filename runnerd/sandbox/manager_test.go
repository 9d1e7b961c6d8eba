package sandbox_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

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
