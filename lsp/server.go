package lsp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/logkey"
	"github.com/sandlot-dev/sandlot/process"
)

// Server is a language server of one project. A document is named by a path or a file URI, see resolver.document; it
// is opened if it is not, and what the server knows of it is its file as it is now. Methods wait until the server is
// ready. They are safe for concurrent use.
//
// Errors of all methods: ErrNotStarted after Stop; ErrNoFile, fault.Invalid, fault.TooLarge and fault.Forbidden for the
// document; fault.Unprocessable for what the server cannot do; ErrTimeout; ErrCrashed when the server has ended by itself
// and, started again, has not come up or has ended again; fault.Upstream for answers that are none; fault.Limited for too
// many requests at once; that of a context that ends.
type Server struct {
	m         *Manager
	key       Key
	language  *Language
	resolver  resolver
	docs      *documents
	published *publications
	index     *index
	watched   watched

	starts sync.WaitGroup
	life   context.Context //nolint:containedctx // of starts, which outlive the requests that cause them; ended by stop
	end    context.CancelCauseFunc

	mu      sync.Mutex
	run     *run // the last; nil before the first
	up      bool // a run has been ready
	stopped bool
}

// run is one process of the server, from its start on.
type run struct {
	ready  chan struct{} // closed when client or err is set
	client *client
	err    error // it did not come up
}

func newServer(m *Manager, k Key, l *Language, root string) *Server {
	s := &Server{
		m: m, key: k, language: l, resolver: resolver{dir: m.cfg.Dir, root: root}, published: newPublications(),
		index: newIndex(),
	}
	s.docs = newDocuments(s.published.last)
	s.life, s.end = context.WithCancelCause(context.Background())
	return s
}

// Root returns the absolute path of the project's folder.
func (s *Server) Root() string { return s.resolver.root }

func (s *Server) wasUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up
}

// ended says whether the run is over, or has failed.
func (r *run) ended() bool {
	select {
	case <-r.ready:
		return r.err != nil || r.client.gone()
	default:
		return false
	}
}

// live waits for a client that is ready, and starts one where the last has ended. began says that it did so, or waited
// for another caller's start.
func (s *Server) live(ctx context.Context) (c *client, began bool, err error) {
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return nil, false, s.notStarted()
	}
	r := s.run
	if r == nil || r.ended() {
		last := r
		r = &run{ready: make(chan struct{})}
		s.run = r
		s.starts.Go(func() { s.begin(r, last) })
	}
	s.mu.Unlock()
	select {
	case <-r.ready:
		return r.client, false, r.err
	default:
	}
	select {
	case <-r.ready:
		return r.client, true, r.err
	case <-ctx.Done():
		return nil, true, s.waited(ctx, "start")
	}
}

func (s *Server) notStarted() error {
	return fmt.Errorf("%s in %s: %w", s.key.Language, clip(s.key.Project), ErrNotStarted)
}

// waited is the error of a wait that ctx ended.
func (s *Server) waited(ctx context.Context, act string) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", act, ErrTimeout)
	}
	return fmt.Errorf("%s: %w", act, context.Cause(ctx))
}

// begin starts a process and makes it ready, when nothing is left of the last one, which may be nil.
func (s *Server) begin(r, last *run) {
	defer close(r.ready)
	defer fault.Recovered(&r.err)
	if last != nil && last.client != nil {
		<-last.client.done
	}
	ctx, cancel := context.WithTimeout(s.life, s.m.cfg.Timeout)
	defer cancel()
	c, err := s.launch(ctx)
	if err != nil {
		r.err = err
		s.m.cfg.Logger.Warn("language server did not start", "language", s.key.Language, logkey.Err, err)
		return
	}
	r.client = c
	s.mu.Lock()
	s.up = true
	s.mu.Unlock()
	s.m.cfg.Logger.Info("language server started", "language", s.key.Language, logkey.PID, c.proc.PID())
}

func (s *Server) launch(ctx context.Context) (*client, error) {
	program, err := s.language.program(s.m.cfg.Processes.LookPath)
	if err != nil {
		return nil, err
	}
	proc, err := s.m.cfg.Processes.StartPiped(process.Spec{Argv: program.Argv, Dir: s.resolver.root})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", strings.Join(program.Argv, " "), err)
	}
	var options Options
	if program.Options != nil {
		options = program.Options(s.resolver.root)
	}
	s.published.reset()
	c := newClient(program, proc, s.m.big, answerer{
		root: s.resolver.root, settings: options.Settings, published: s.published.publish,
	})
	if err = c.handshake(ctx, s.resolver.root, options); err == nil {
		err = s.docs.attach(c, s.language.id)
	}
	if err != nil {
		_ = c.conn.Close() // and watch ends the process
		<-c.done
		return nil, err
	}
	return c, nil
}

// current returns the client that is ready, nil where there is none.
func (s *Server) current() *client {
	s.mu.Lock()
	r := s.run
	s.mu.Unlock()
	if r == nil {
		return nil
	}
	select {
	case <-r.ready:
		return r.client
	default:
		return nil
	}
}

// do calls act with a client that is ready. If that ends by itself meanwhile, the server is started again and act is
// called a second time; but only one start is made here.
func (s *Server) do(ctx context.Context, act func(ctx context.Context, c *client) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.m.cfg.Timeout)
	defer cancel()
	for {
		c, began, err := s.live(ctx)
		if err == nil {
			err = act(ctx, c)
		}
		if !errors.Is(err, ErrCrashed) {
			return err
		}
		s.mu.Lock()
		stopped := s.stopped
		s.mu.Unlock()
		switch {
		case stopped:
			return s.notStarted()
		case began:
			return err
		}
		s.m.cfg.Logger.Warn("language server ended by itself", "language", s.key.Language, logkey.Err, err)
	}
}

// about is do for a document, which the server knows as it is now.
func (s *Server) about(ctx context.Context, uri string, act func(context.Context, *client, document) error) error {
	path, err := s.resolver.document(uri)
	if err != nil {
		return err
	}
	return s.do(ctx, func(ctx context.Context, c *client) error {
		if err := s.refresh(ctx, c); err != nil {
			return err
		}
		doc, err := s.docs.sync(c, path, s.language.id)
		if err != nil {
			return err
		}
		return act(ctx, c, doc)
	})
}

// refresh makes the server know what has changed on disk. Other documents than the one that is asked about matter, too.
func (s *Server) refresh(ctx context.Context, c *client) error {
	s.tellChanges(ctx, c)
	return s.docs.refresh(c, s.language.id)
}

// OpenDocument opens a document, and keeps it open over a restart. One that is open gets its file's text anew, also
// where ChangeDocument gave it another.
func (s *Server) OpenDocument(ctx context.Context, uri string) error {
	path, err := s.resolver.document(uri)
	if err != nil {
		return err
	}
	return s.do(ctx, func(_ context.Context, c *client) error { return s.docs.ask(c, path, s.language.id) })
}

// ChangeDocument makes text the content of a document until its file changes, OpenDocument or CloseDocument. Nothing is
// written to the file, which need not exist. At most 64 documents and 32 MiB may be changed at a time: then
// fault.Limited.
func (s *Server) ChangeDocument(ctx context.Context, uri, text string) error {
	path, err := s.resolver.document(uri)
	if err != nil {
		return err
	}
	return s.do(ctx, func(_ context.Context, c *client) error { return s.docs.change(c, path, text, s.language.id) })
}

// CloseDocument closes a document. It does nothing where it is not open.
func (s *Server) CloseDocument(ctx context.Context, uri string) error {
	path, err := s.resolver.document(uri)
	if err != nil {
		return err
	}
	return s.do(ctx, func(_ context.Context, c *client) error { return s.docs.close(c, path) })
}

// columns returns what corrects the positions of an answer of c's.
func (s *Server) columns(c *client) *columns {
	if c == nil || c.unit == nil {
		return nil
	}
	return &columns{unit: c.unit, lines: map[string][]string{}, read: s.docs.text}
}

// stop ends the server for good.
func (s *Server) stop() {
	s.mu.Lock()
	s.stopped = true
	r := s.run
	s.mu.Unlock()
	s.end(s.notStarted()) // a start
	s.starts.Wait()
	if r != nil && r.client != nil {
		r.client.close()
	}
	s.published.end()
}
