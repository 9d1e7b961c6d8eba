package fleet

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sandlot-dev/sandlot/internal/auth"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/internal/logkey"
)

// retryInterval is how long a step waits that failed because something was down. A full report, which follows when it
// is up again, ends the wait earlier.
const retryInterval = 5 * time.Second

// stepLimit bounds one call of a runner.
const stepLimit = 5 * time.Minute

// workers close the difference between what is and what is wanted: one goroutine for each sandbox that has one.
type workers struct {
	records  *records
	watchers *watchers
	runners  Runners
	logger   *slog.Logger
	// of the steps, which outlive the requests that cause them; ended by close
	ctx    context.Context //nolint:containedctx
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	closed bool
	byID   map[string]*worker
}

// worker closes the difference of one sandbox. again asks it for another look.
type worker struct{ again bool }

func newWorkers(r *records, w *watchers, runners Runners, logger *slog.Logger) *workers {
	ctx, cancel := context.WithCancel(context.Background())
	return &workers{
		records: r, watchers: w, runners: runners, logger: logger, ctx: ctx, cancel: cancel, byID: map[string]*worker{},
	}
}

// enqueue makes sure that a worker looks at a sandbox after now.
func (ws *workers) enqueue(id string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.closed {
		return
	}
	if w := ws.byID[id]; w != nil {
		w.again = true
		return
	}
	w := &worker{}
	ws.byID[id] = w
	ws.wg.Go(func() { ws.work(id, w) })
}

// enqueueIfPlanned enqueues a sandbox that is not what is wanted of it.
func (ws *workers) enqueueIfPlanned(s Sandbox) {
	if action, _ := lifecycle.Plan(s.State, s.Desired); action != lifecycle.Nothing {
		ws.enqueue(s.ID)
	}
}

// close ends all workers and waits for them.
func (ws *workers) close() {
	ws.mu.Lock()
	ws.closed = true
	ws.mu.Unlock()
	ws.cancel()
	ws.wg.Wait()
}

// work takes steps until the sandbox is what is wanted, or a step fails.
func (ws *workers) work(id string, w *worker) {
	for {
		more, err := ws.step(ws.ctx, id)
		if err != nil && ws.ctx.Err() == nil {
			if fault.Retryable(err) {
				time.AfterFunc(retryInterval, func() { ws.enqueue(id) })
			}
			ws.logger.Warn("step failed", logkey.Sandbox, id, logkey.Err, err)
		}
		if !ws.goesOn(id, w, more) {
			return
		}
	}
}

// goesOn reports whether a worker takes another step, and otherwise forgets it.
func (ws *workers) goesOn(id string, w *worker, more bool) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.closed || !more && !w.again {
		delete(ws.byID, id)
		return false
	}
	w.again = false
	return true
}

// step takes the step that lifecycle.Plan names and stores the result. more asks for another step.
func (ws *workers) step(ctx context.Context, id string) (more bool, err error) {
	s, err := ws.records.byID(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	action, during := lifecycle.Plan(s.State, s.Desired)
	if action == lifecycle.Nothing {
		return false, nil
	}
	if s.State != during {
		if s, err = ws.records.change(ctx, id, func(s *Sandbox) error { s.State = during; return nil }); err != nil {
			return false, err
		}
	}
	began := time.Now()
	o, err := ws.act(ctx, action, s)
	if err != nil {
		return ws.fail(ctx, s, action, err)
	}
	if action == lifecycle.Remove {
		return false, ws.records.remove(ctx, id)
	}
	ws.logger.Info("sandbox "+string(o.State), logkey.Sandbox, id, logkey.Took, time.Since(began))
	_, err = ws.records.change(ctx, id, func(s *Sandbox) error { return s.reach(action, o) })
	if errors.Is(err, errOld) { // whoever stored what is newer asked for the next step
		return false, nil
	}
	return true, err
}

// acts holds how each action is asked of a runner.
var acts = map[lifecycle.Action]func(context.Context, Runner, Sandbox) (lifecycle.Observed, error){
	lifecycle.Create: func(ctx context.Context, r Runner, s Sandbox) (lifecycle.Observed, error) {
		return r.Create(ctx, s.spec())
	},
	lifecycle.Start: func(ctx context.Context, r Runner, s Sandbox) (lifecycle.Observed,
		error,
	) {
		return r.Start(ctx, s.ID)
	},
	lifecycle.Stop: func(ctx context.Context, r Runner, s Sandbox) (lifecycle.Observed, error) {
		return r.Stop(ctx, s.ID, s.Forced)
	},
	lifecycle.Remove: func(ctx context.Context, r Runner, s Sandbox) (lifecycle.Observed, error) {
		return lifecycle.Observed{}, r.Remove(ctx, s.ID)
	},
}

// act asks the sandbox's runner for an action.
func (ws *workers) act(ctx context.Context, action lifecycle.Action, s Sandbox) (lifecycle.Observed, error) {
	runner, err := ws.runners.ByID(s.Runner)
	if err != nil {
		return lifecycle.Observed{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	return acts[action](ctx, runner, s)
}

// reach takes the result of an action. errOld if the runner has reported something that came after it.
func (s *Sandbox) reach(action lifecycle.Action, o lifecycle.Observed) error {
	if o.Seq <= s.Seen {
		return errOld
	}
	s.State, s.Reason, s.Seen, s.Forced = o.State, "", o.Seq, false
	if o.State == lifecycle.Started {
		if action == lifecycle.Start {
			s.PreviewToken = auth.NewToken()
		}
		s.DaemonVersion = o.DaemonVersion
	}
	return nil
}

// fail stores the failure of a step that was planned for a record, and notifies its watchers. If something was down,
// the step stays planned. If something else is wanted by now, that is what comes next: more is set.
func (ws *workers) fail(
	ctx context.Context, planned Sandbox, action lifecycle.Action, cause error,
) (more bool, err error) {
	ws.watchers.fail(planned, cause)
	defer ws.watchers.notify(planned.ID)
	if ctx.Err() != nil || fault.KindOf(cause) == fault.Unavailable || action == lifecycle.Remove &&
		fault.Retryable(cause) {
		return false, cause
	}
	_, err = ws.records.change(ctx, planned.ID, func(s *Sandbox) error {
		if s.Desired == lifecycle.Destroyed { // a removal is tried again, whatever came in between
			return errOld
		}
		if s.Desired != planned.Desired || s.State != planned.State {
			more = true
			return errOld
		}
		s.State, s.Reason = lifecycle.Error, cause.Error()
		return nil
	})
	if errors.Is(err, errOld) || errors.Is(err, ErrNotFound) {
		err = nil
	}
	return more, errors.Join(cause, err)
}
