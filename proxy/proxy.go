package proxy

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandlot-dev/sandlot/internal/auth"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/internal/upstream"
)

// Source is what error bodies of this server say in their source field.
const Source = "DAYTONA_PROXY"

// Target says where a sandbox is, and what admits a caller besides an API key.
type Target struct {
	ID           string
	State        string     // in the words of the wire
	Reason       string     // why it is in that state; may be empty
	Since        time.Time  // when it entered the state; differs between runs
	Addr         netip.Addr // valid while it runs
	Secret       string     // for its toolbox
	Public       bool
	PreviewToken string
	SigningKey   string // of signed file addresses; "" admits none
}

// Locator is what a Proxy asks of the coordinator.
type Locator interface {
	// Locate finds a sandbox by id. fault.NotFound.
	Locate(ctx context.Context, id string) (Target, error)
	// Admit returns until when an API key may use a sandbox, zero for no end. fault.Unauthenticated, fault.NotFound.
	Admit(ctx context.Context, key, id string) (time.Time, error)
	// Link returns what a signed link opens. fault.NotFound for one that is unknown, revoked, or of a sandbox that is
	// gone.
	Link(ctx context.Context, token string) (Link, error)
	// Touch notes activity: opened is +1 when a request begins and -1 when it ends.
	Touch(id string, opened int)
}

// Link is what the token of a signed link opens.
type Link struct {
	Sandbox string // id
	Port    int
	Until   time.Time
}

// Config is what a Proxy needs.
type Config struct {
	Locator Locator       // required
	Domain  string        // preview hosts are {port}-{id}.Domain, without a port; required
	Key     string        // the API key of the settings, which may have any form; "" for none
	Paths   bool          // previews are also at /p/{id}/{port}/, where browsers do not keep the pages of sandboxes apart
	Drain   time.Duration // how long requests at addresses of Open may last after Run ends
	Logger  *slog.Logger  // required
}

// Proxy is an http.Handler. It is safe for concurrent use. Run starts its goroutines and waits for them.
type Proxy struct {
	cfg      Config
	face     serve.Face
	open     *registry
	doors    *doors
	stranger *sandbox    // stands for every sandbox that does not exist
	log      *log.Logger // for net/http
}

// sandbox is what is known of one sandbox until the next change.
type sandbox struct {
	Target
	transport *upstream.Pool // no connection outlives this value

	mu       sync.Mutex
	admitted map[[sha256.Size]byte]time.Time // by hash of an API key: until when; zero means no end
	foreign  map[[sha256.Size]byte]struct{}  // hashes of foreign words of Authorization
}

func newSandbox(t Target) *sandbox {
	return &sandbox{
		Target: t, transport: newTransport(t),
		admitted: map[[sha256.Size]byte]time.Time{}, foreign: map[[sha256.Size]byte]struct{}{},
	}
}

// sameRun reports whether a sandbox that was t still runs and has not ended in between. A sandbox whose address is
// unknown at the moment counts as running.
func (t Target) sameRun(now Target) bool {
	return now.State == t.State && now.Since.Equal(t.Since) && (now.Addr == t.Addr || !now.Addr.IsValid())
}

// maxAdmitted bounds the keys remembered per sandbox.
const maxAdmitted = 256

// New checks cfg and returns a Proxy.
func New(cfg Config) (*Proxy, error) {
	if cfg.Locator == nil || cfg.Domain == "" || cfg.Logger == nil {
		return nil, fault.New(fault.Invalid, "proxy: Locator, Domain and Logger are required")
	}
	words := serve.CutLines(slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug).Writer(), serve.MaxWords)
	nobody := newSandbox(Target{PreviewToken: auth.NewToken()})
	p := &Proxy{
		cfg: cfg, face: serve.Face{Source: Source, Logger: cfg.Logger}, stranger: nobody, log: log.New(words, "", 0),
	}
	p.doors = newDoors(p, cfg.Drain, cfg.Logger)
	p.open = newRegistry(cfg.Locator, p.doors, cfg.Logger)
	return p, nil
}

// Run ends the open requests of sandboxes that end, until ctx ends. Without Run they end with their connections.
func (p *Proxy) Run(ctx context.Context) error {
	p.doors.begin(ctx)
	p.open.run(ctx)
	p.doors.end()
	return nil
}

// Forget drops what is known of a sandbox, "" means all, and has Run end its open requests if the sandbox has left
// the run that they were sent to. Call it after every change of a sandbox. It does not block: Run asks the Locator
// what changed.
func (p *Proxy) Forget(id string) { p.open.forget(id) }

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Without this the server closes the request's body when the answer begins, and the transport, which may not have
	// seen the body's end yet, takes that for a broken request and cuts the answer off. HTTP/2 has it always.
	_ = http.NewResponseController(w).EnableFullDuplex()
	in := &body{ReadCloser: r.Body}
	in.whole.Store(r.ContentLength == 0)
	if err := p.serve(w, r, in); err != nil {
		p.fail(w, r, in, err)
	}
	if !in.whole.Load() {
		// The server reads on to the body's end, so that the client gets the answer before the connection is closed. The
		// call fails on closed connections.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(upstream.RestWithin))
	}
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request, in *body) error {
	if r.Method == http.MethodOptions || r.URL.Path == "/health" { // mostly answered here, without the body
		in.mark(w.Header())
	}
	d, isDoor, err := p.door(r)
	switch {
	case err != nil:
		return err
	case isDoor:
		return p.preview(w, r, in, d)
	case strings.HasPrefix(r.URL.Path, "/toolbox/"):
		if serve.AllowOrigin(w, r) {
			return nil
		}
		return p.toolbox(w, r, in)
	case r.URL.Path == "/health":
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"ok"}`)) // the caller is gone: nothing to tell it
		return nil
	}
	if d, ok := p.stray(r, d); ok {
		return p.strayed(w, r, in, d)
	}
	return fault.Newf(fault.NotFound,
		"Cannot %s %s: toolboxes are at /toolbox/{sandboxId}/, ports of sandboxes where their preview link says",
		r.Method, serve.Cut(r.URL.Path, serve.MaxWords))
}

func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, in *body, err error) {
	p.face.Note(r, err)
	in.mark(w.Header())
	serve.Answer(w, serve.NewBody(Source, r, err))
}

// body is the body of a client's request.
type body struct {
	io.ReadCloser
	whole  atomic.Bool // it was read to its end
	broken atomic.Bool // it cannot be read to its end
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.whole.Store(true)
	} else if err != nil {
		b.broken.Store(true)
	}
	return n, err
}

// mark announces in the header of an answer that the connection closes if the request has not come whole: the rest of
// the request must not be taken for the next one.
func (b *body) mark(h http.Header) {
	if !b.whole.Load() {
		h.Set("Connection", "close")
	}
}
