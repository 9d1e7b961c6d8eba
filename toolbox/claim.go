package toolbox

import (
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

var (
	errUnclaimed = fault.New(fault.Unavailable, "this toolbox has no sandbox yet; POST /init with its secret claims it")
	errClaimed   = fault.New(fault.Conflict, "this toolbox has its sandbox; it cannot be claimed again")
)

// Claim is what makes a waiting toolbox that of one sandbox. SecretHash is always there when a Gate hands it on.
type Claim api.InitializeRequest

// Gate serves a toolbox that was started ahead of time and waits for its sandbox: GET /version, and POST /init with
// the secret of the claim. All else is fault.Unavailable until one claim has been taken; then every call goes to the
// Server that it opened, and the claim's secret alone opens nothing a second time. It is safe for concurrent use.
type Gate struct {
	secret  []byte // hash of the claim's
	version string
	open    func(Claim) (*Server, error)
	waiting http.Handler

	mu      sync.Mutex // held while claiming
	claimed atomic.Pointer[http.Handler]
}

// NewGate returns a Gate. secretHash is the hex SHA-256 of the secret that the claim must present. open makes the
// Server; when it fails, its error is the claim's answer and the Gate waits on.
func NewGate(secretHash, version string, logger *slog.Logger, open func(Claim) (*Server, error)) (*Gate, error) {
	secret, err := decodeHash(secretHash)
	if err == nil && len(secret) == 0 {
		err = errors.New("toolbox: a claim needs a secret")
	}
	if err != nil {
		return nil, err
	}
	face := serve.Face{Source: Source, Logger: logger}
	g := &Gate{secret: secret, version: version, open: open}
	e := face.NewEngine()
	e.Use(nameRequest)
	e.NoRoute(face.Wrap(func(*gin.Context) error { return errUnclaimed }))
	serve.Mount(&face, e, g, []serve.Route[*Gate]{
		{Method: "GET", Path: "/version", Do: (*Gate).tellVersion},
		{Method: "POST", Path: "/init", Do: (*Gate).claim},
	})
	g.waiting = e
	return g, nil
}

// ServeHTTP serves the toolbox, or what there is before the claim.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	again := r.Method == http.MethodPost && r.URL.Path == "/init" && presents(r, g.secret)
	if h := g.claimed.Load(); h != nil && !again {
		(*h).ServeHTTP(w, r)
		return
	}
	g.waiting.ServeHTTP(w, r)
}

func (g *Gate) tellVersion(c *gin.Context) error {
	c.JSON(http.StatusOK, api.Strings{"version": g.version, "state": "unclaimed"})
	return nil
}

// claim handles POST /init before there is a sandbox, and any later one with the claim's secret.
func (g *Gate) claim(c *gin.Context) error {
	if !presents(c.Request, g.secret) {
		return fault.New(fault.Unauthenticated, "this toolbox is claimed with its secret only")
	}
	var req api.InitializeRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.claimed.Load() != nil {
		return errClaimed
	}
	if req.SecretHash == "" {
		req.SecretHash = hex.EncodeToString(g.secret)
	}
	s, err := g.open(Claim(req))
	if err != nil {
		return err
	}
	s.system.token.Store(&req.Token)
	h := s.Handler()
	g.claimed.Store(&h)
	c.JSON(http.StatusOK, api.Strings{"message": "claimed"})
	return nil
}
