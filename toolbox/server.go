package toolbox

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/internal/upstream"
	"github.com/sandlot-dev/sandlot/interpreter"
	"github.com/sandlot-dev/sandlot/lsp"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/session"
	"github.com/sandlot-dev/sandlot/session/pty"
	"github.com/sandlot-dev/sandlot/workspace"
	"github.com/sandlot-dev/sandlot/workspace/git"
)

// Source is the source field of this server's error bodies; published clients choose typed errors by it.
const Source = "DAYTONA_DAEMON"

// maxBody bounds a JSON body, in bytes: scripts and long lists of paths come in one.
const maxBody = 8 << 20

// Config is what a Server needs.
type Config struct {
	WorkDir    string       // base of relative paths; required
	Home       string       // home of the daemon's user; required
	Version    string       // answered by GET /version; required
	SecretHash string       // hex SHA-256 of the secret that callers must present; "" admits all callers
	Logger     *slog.Logger // required

	Process  *process.Manager // starts all processes; required
	Sessions *session.Manager // the Server closes it; nil means a new one
}

// Server is the toolbox of one sandbox: it admits requests and hands them to its features. It is safe for concurrent
// use.
type Server struct {
	face      serve.Face
	secret    []byte // decoded SecretHash; empty when all callers are admitted
	processes *process.Manager

	serving sync.RWMutex // read-locked by every request, for as long as it lasts
	closed  bool         // guarded by serving

	system       systemAPI
	commands     commandAPI
	sessions     sessionAPI
	terminals    terminalAPI
	webTerminals webTerminalAPI
	files        fileAPI
	git          gitAPI
	ports        portAPI
	interpreters interpreterAPI
	lsp          lspAPI
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
	servers, err := lsp.NewManager(lsp.Config{Processes: cfg.Process, Dir: cfg.WorkDir, Logger: cfg.Logger})
	if err != nil {
		return nil, fmt.Errorf("toolbox: %w", err)
	}
	lines := serve.CutLines(slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug).Writer(), serve.MaxWords)
	s := &Server{
		face:   serve.Face{Source: Source, Logger: cfg.Logger, Bodies: serve.Bodies{Each: maxBody}},
		secret: secret, processes: cfg.Process,
	}
	s.system.version, s.system.workDir, s.system.home = cfg.Version, cfg.WorkDir, cfg.Home
	s.system.processes = cfg.Process
	s.commands.processes = cfg.Process
	s.sessions = sessionAPI{sessions: cfg.Sessions, home: cfg.Home}
	s.terminals.terminals = pty.NewManager(cfg.Process)
	s.webTerminals.terminals = pty.NewManager(cfg.Process)
	s.files = fileAPI{face: &s.face, files: files, watches: workspace.NewManager(files)}
	s.interpreters.interpreters = interpreter.NewManager(interpreter.Config{Processes: cfg.Process, Logger: cfg.Logger})
	s.commands.interpreters = s.interpreters.interpreters
	s.lsp.servers = servers
	s.git.repositories = git.New(cfg.Process)
	s.ports = portAPI{face: &s.face, admit: s.admit, pool: upstream.NewPool(dialPort), log: log.New(lines, "", 0)}
	return s, nil
}

// Handler returns the router of all routes.
func (s *Server) Handler() http.Handler {
	e := s.newEngine()
	s.mount(e)
	return s.untilClosed(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.EscapedPath(), "/proxy/") {
			s.ports.proxy(w, r)
			return
		}
		e.ServeHTTP(w, r)
	})
}

// untilClosed serves requests until Close, which waits for them.
func (s *Server) untilClosed(serveHTTP http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.serving.RLock()
		defer s.serving.RUnlock()
		if s.closed {
			serve.Answer(w, serve.NewBody(Source, r, process.ErrClosed))
			return
		}
		serveHTTP(w, r)
	})
}

// Close waits for all requests and ends what the Server has beside them: sessions, interpreters, language servers,
// terminals, watches and connections to ports. Requests end when their HTTP servers have ended and Config.Process is
// closed, so both come before.
func (s *Server) Close() {
	s.serving.Lock()
	s.closed = true
	s.serving.Unlock()
	s.sessions.sessions.Close()
	s.interpreters.interpreters.Close()
	s.lsp.servers.Close()
	s.terminals.terminals.Close()
	s.webTerminals.terminals.Close()
	s.files.watches.Close()
	s.ports.pool.Close()
}

// newEngine returns a router that admits requests.
func (s *Server) newEngine() *gin.Engine {
	e := s.face.NewEngine()
	e.Use(nameRequest, s.face.Guard(func(c *gin.Context) error { return s.admit(c.Request) }))
	return e
}

// nameRequest gives every answer an id of its own (docs/wire.md, "Errors and answers").
func nameRequest(c *gin.Context) { c.Header(requestID, uuid.NewString()) }

const requestID = "X-Request-Id"

// admit checks and removes the secret of a request. A request that is admitted is an occasion to look at the processes.
func (s *Server) admit(r *http.Request) error {
	if len(s.secret) > 0 {
		if !presents(r, s.secret) {
			return fault.New(fault.Unauthenticated, "this toolbox is reached through Sandlot's proxy only")
		}
		r.Header.Del(api.SecretHeader)
	}
	s.processes.Observe()
	return nil
}

// presents reports whether a request brings the secret that has this hash. It takes as long for every secret.
func presents(r *http.Request, hash []byte) bool {
	got := sha256.Sum256([]byte(r.Header.Get(api.SecretHeader)))
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
