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

// retryInterval is the time before a step is tried again that failed because something was down. The full report that
// follows when it is up again ends the wait earlier.
const retryInterval = 5 * time.Second

// stepLimit bounds one call of a runner.
const stepLimit = 5 * time.Minute

// workers take steps from the observed to the desired state, with one goroutine for each sandbox that needs one.
type workers struct {
	records  *records
	watchers *watchers
	runners  Runners
	logger   *slog.Logger
	ctx      context.Context //nolint:containedctx // steps outlive the requests that cause them; close ends them
	cancel   context.CancelFunc
	wg       sync.WaitGroup

	mu     sync.Mutex
	closed bool
	byID   map[string]*worker
}

// worker takes the steps of one sandbox. With again set it reads the record once more before it ends.
type worker struct{ again bool }

func newWorkers(r *records, w *watchers, runners Runners, logger *slog.Logger) *workers {
	ctx, cancel := context.WithCancel(context.Background())
	return &workers{
		records: r, watchers: w, runners: runners, logger: logger, ctx: ctx, cancel: cancel, byID: map[string]*worker{},
	}
}

// enqueue makes a worker read the record of a sandbox after this call.
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

// enqueueIfPlanned enqueues a sandbox that needs a step.
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

// work takes steps until the sandbox has its desired state or a step fails.
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

// goesOn reports whether a worker takes another step. If not, it removes the worker.
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

// step takes the step that lifecycle.Plan names and stores the result. more is true if another step may follow.
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
	if errors.Is(err, errOld) { // whoever stored the newer finding has enqueued the sandbox
		return false, nil
	}
	return true, err
}

// acts has the call of a Runner for each action.
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

// reach applies the result of an action to the record. errOld if the record has a newer finding.
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

// fail stores the failure of a step and notifies the watchers. planned is the record that the step was planned for. If
// something was down, the record stays as it is and the step is repeated later. If the desired state has changed
// meanwhile, more is true.
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
		if s.Desired == lifecycle.Destroyed { // a removal is tried again in any case
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
