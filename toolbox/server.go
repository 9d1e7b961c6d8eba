package toolbox

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/internal/upstream"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/session"
	"github.com/sandlot-dev/sandlot/session/pty"
	"github.com/sandlot-dev/sandlot/telemetry"
	"github.com/sandlot-dev/sandlot/workspace"
	"github.com/sandlot-dev/sandlot/workspace/git"
)

// Source is what error bodies of this server say in their source field; published clients choose typed errors by it.
const Source = "DAYTONA_DAEMON"

// SecretHeader carries the sandbox's secret from runner and proxy. It is never passed on to a process of the sandbox.
const SecretHeader = "X-Sandlot-Secret"

// maxBody bounds a JSON body, in bytes: scripts and long lists of paths come in one.
const maxBody = 8 << 20

// Config is what a Server needs.
type Config struct {
	WorkDir    string       // base of relative paths; required
	Home       string       // home of the daemon's user; required
	Version    string       // answered by GET /version; required
	SecretHash string       // hex SHA-256 of the secret that callers must present; "" takes all callers
	Logger     *slog.Logger // required

	Process  *process.Manager // starts all processes; required
	Sessions *session.Manager // nil means one of its own
}

// Server is the toolbox of one sandbox. It is safe for concurrent use.
type Server struct {
	cfg    Config
	face   serve.Face
	secret []byte // decoded SecretHash; empty when all callers are taken
	files  *workspace.Files
	git    *git.Manager
	runs   process.Once // commands and programs that were given a key
	meter  telemetry.Meter
	token  atomic.Pointer[string] // names the sandbox to telemetry collectors; nil until /init
	ports  *upstream.Pool         // behind /proxy/{port}
	log    *log.Logger            // of what net/http has to say

	terminals, webTerminals *pty.Manager
	watches                 *workspace.Manager
}

// New checks cfg and returns a Server. It starts nothing.
func New(cfg Config) (*Server, error) {
	if cfg.WorkDir == "" || cfg.Home == "" || cfg.Version == "" || cfg.Logger == nil || cfg.Process == nil {
		return nil, fault.New(fault.Invalid, "toolbox: WorkDir, Home, Version, Logger and Process are required")
	}
	secret, err := decodeHash(cfg.SecretHash)
	if err != nil {
		return nil, err
	}
	if cfg.Sessions == nil {
		if cfg.Sessions, err = session.NewManager(session.Config{Processes: cfg.Process}); err != nil {
			return nil, fmt.Errorf("toolbox: %w", err)
		}
	}
	files, err := workspace.New(cfg.WorkDir)
	if err != nil {
		return nil, fmt.Errorf("toolbox: %w", err)
	}
	words := serve.CutLines(slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug).Writer(), serve.MaxWords)
	return &Server{
		cfg: cfg, log: log.New(words, "", 0), face: serve.Face{Source: Source, Logger: cfg.Logger, Bodies: serve.Bodies{Each: maxBody}}, secret: secret, files: files, git: git.New(cfg.Process), ports: upstream.NewPool(dialPort),
		terminals: pty.NewManager(cfg.Process), webTerminals: pty.NewManager(cfg.Process), watches: workspace.NewManager(files),
	}, nil
}

// Handler returns the router of all routes.
func (s *Server) Handler() http.Handler {
	e := s.face.NewEngine()
	e.Use(nameRequest, s.face.Guard(s.guard), func(*gin.Context) { s.cfg.Process.Observe() })
	serve.Mount(&s.face, e, s, routes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.EscapedPath(), "/proxy/") {
			s.proxyPort(w, r)
			return
		}
		e.ServeHTTP(w, r)
	})
}

// nameRequest gives every answer an id of its own, as toolbox.md 0.3 has it.
func nameRequest(c *gin.Context) { c.Header("X-Request-Id", newRequestID()) }

// newRequestID returns a random UUID (RFC 9562, version 4).
func newRequestID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	text := make([]byte, 0, 36)
	for i, b := range [][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			text = append(text, '-')
		}
		text = hex.AppendEncode(text, b)
	}
	return string(text)
}

func (s *Server) guard(c *gin.Context) error { return s.checkSecret(c.Request) }

func (s *Server) checkSecret(r *http.Request) error {
	if len(s.secret) == 0 {
		return nil
	}
	if !presents(r, s.secret) {
		return fault.New(fault.Unauthenticated, "this toolbox is reached through Sandlot's proxy only")
	}
	r.Header.Del(SecretHeader)
	return nil
}

// presents says, in the same time for every secret, whether a request brings the one that has this hash.
func presents(r *http.Request, hash []byte) bool {
	got := sha256.Sum256([]byte(r.Header.Get(SecretHeader)))
	return subtle.ConstantTimeCompare(got[:], hash) == 1
}

// decodeHash returns the bytes of a secret's hash, none for "".
func decodeHash(text string) ([]byte, error) {
	hash, err := hex.DecodeString(text)
	if err != nil || len(hash) != 0 && len(hash) != sha256.Size {
		return nil, fault.New(fault.Invalid, "the hash of a secret must be its SHA-256 in 64 hex digits")
	}
	return hash, nil
}

// Operations describes all routes, for the generated API description.
func Operations() []serve.Operation { return serve.Describe("", routes) }
