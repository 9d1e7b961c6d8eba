package proxy

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

// Source is what error bodies of this server say in their source field.
const Source = "DAYTONA_PROXY"

// Target is where a sandbox is, and what lets a caller in besides an API key.
type Target struct {
	ID           string
	State        string     // in the words of the wire
	Addr         netip.Addr // valid while it runs
	Secret       string     // for its toolbox
	Public       bool
	PreviewToken string
	SigningKey   string // of signed file addresses; "" lets none in
}

// Locator is what a Proxy asks of the coordinator.
type Locator interface {
	// Locate finds a sandbox by id. fault.NotFound.
	Locate(ctx context.Context, id string) (Target, error)
	// Admit returns until when an API key may use a sandbox, zero for no end. fault.Unauthenticated, fault.NotFound.
	Admit(ctx context.Context, key, id string) (time.Time, error)
	// Touch notes activity: opened is +1 when a request begins and -1 when it ends.
	Touch(id string, opened int)
}

// Config is what a Proxy needs.
type Config struct {
	Locator Locator      // required
	Domain  string       // preview hosts are {port}-{id}.Domain, without a port; required
	Logger  *slog.Logger // required
}

// Proxy is an http.Handler. It is safe for concurrent use and owns no goroutine.
type Proxy struct {
	cfg  Config
	face serve.Face

	mu    sync.Mutex
	known map[string]*room
	turns uint64 // counts Forget, so that what was looked up before one is not kept after it
}

// room is what is known of one sandbox until the next change.
type room struct {
	Target
	transport *http.Transport // its own: no connection outlives what is known

	mu       sync.Mutex
	admitted map[[sha256.Size]byte]time.Time // hash of an API key → until when; zero: no end
}

// maxAdmitted bounds the keys remembered per sandbox.
const maxAdmitted = 256

// New checks cfg and returns a Proxy.
func New(cfg Config) (*Proxy, error) {
	if cfg.Locator == nil || cfg.Domain == "" || cfg.Logger == nil {
		return nil, fault.New(fault.Invalid, "proxy: Locator, Domain and Logger are required")
	}
	return &Proxy{cfg: cfg, face: serve.Face{Source: Source, Logger: cfg.Logger}, known: map[string]*room{}}, nil
}

// Forget drops what is known of a sandbox; "" drops all. It is to be called after every change of one.
func (p *Proxy) Forget(id string) {
	p.mu.Lock()
	p.turns++
	var gone []*room
	if id == "" {
		for _, r := range p.known {
			gone = append(gone, r)
		}
		p.known = map[string]*room{}
	} else if r := p.known[id]; r != nil {
		gone = append(gone, r)
		delete(p.known, id)
	}
	p.mu.Unlock()
	for _, r := range gone {
		r.transport.CloseIdleConnections()
	}
}

// find returns what is known of a sandbox.
func (p *Proxy) find(ctx context.Context, id string) (*room, error) {
	p.mu.Lock()
	r, turn := p.known[id], p.turns
	p.mu.Unlock()
	if r != nil {
		return r, nil
	}
	t, err := p.cfg.Locator.Locate(ctx, id)
	if err != nil {
		return nil, err
	}
	r = &room{Target: t, transport: newTransport(), admitted: map[[sha256.Size]byte]time.Time{}}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.turns == turn && t.Addr.IsValid() { // what cannot be reached is asked again: it may come back without a change
		p.known[id] = r
	}
	return r, nil
}

func newTransport() *http.Transport {
	return &http.Transport{
		DisableCompression:  true,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     time.Minute, // less than toolboxd keeps them
		ReadBufferSize:      64 << 10,
		WriteBufferSize:     64 << 10,
	}
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var err error
	switch label, ok := p.previewLabel(r.Host); {
	case ok:
		err = p.preview(w, r, label)
	case strings.HasPrefix(r.URL.Path, "/toolbox/"):
		if serve.AllowOrigin(w, r) {
			return
		}
		err = p.toolbox(w, r)
	case r.URL.Path == "/health":
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"ok"}`)) // the caller is gone: nothing to tell it
	default:
		err = fault.Newf(fault.NotFound, "Cannot %s %s: sandboxes are at /toolbox/{sandboxId}/ and at hosts {port}-{sandboxId}.%s",
			r.Method, r.URL.Path, p.cfg.Domain)
	}
	if err != nil {
		p.fail(w, r, err)
	}
}

func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	p.face.Note(r, err)
	serve.Answer(w, serve.NewBody(Source, r, err))
}
