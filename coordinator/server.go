package coordinator

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/coordinator/tenancy"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

// Source is what error bodies of this server say in their source field.
const Source = "DAYTONA_API"

// Previews has the addresses of the ports of sandboxes.
type Previews interface {
	// Address returns the address of a port, at which visitors present the port's token. With link, the token of a signed
	// link, the address contains that token and needs no other. Address opens a listener where the address needs one.
	Address(ctx context.Context, sandbox string, port int, link string) (string, error)
}

// Config is what a Server needs; all fields are required but Revision and Toolboxes.
type Config struct {
	Fleet           *fleet.Manager
	Tenancy         *tenancy.Manager
	Ready           func() error // nil when sandboxes can be made
	Toolboxes       http.Handler // serves /toolbox/{sandboxId}/{path} to clients before 0.113; nil answers 404
	Version         string
	Revision        string
	Region          string // id and name of the one region
	Runner          string // id of the runner
	DefaultSnapshot string
	ToolboxURL      string // base of toolbox calls: http://host:port/toolbox
	PreviewURL      string // address of a port, for clients that fill in {{PORT}} and {{sandboxId}} themselves
	Previews        Previews
	DashboardURL    string
	MaxCPU          int // of one sandbox, as MaxMemory and MaxDisk in GiB
	MaxMemory       int
	MaxDisk         int
	Began           time.Time // when this installation began
	Logger          *slog.Logger
}

// Server answers the control API. It is safe for concurrent use.
type Server struct {
	cfg  Config
	face serve.Face
}

// New checks cfg and returns a Server. It starts nothing.
func New(cfg Config) (*Server, error) {
	if cfg.Fleet == nil || cfg.Tenancy == nil || cfg.Ready == nil || cfg.Previews == nil || cfg.Logger == nil ||
		cfg.ToolboxURL == "" || cfg.PreviewURL == "" {
		return nil, fault.New(fault.Invalid, "coordinator: Fleet, Tenancy, Ready, Logger and the addresses are required")
	}
	return &Server{cfg: cfg, face: serve.Face{Source: Source, Logger: cfg.Logger}}, nil
}

// Handler returns the router.
func (s *Server) Handler() http.Handler {
	e := s.face.NewEngine()
	e.Use(serve.CORS(), s.face.Hurry)
	open := e.Group("/api")
	serve.Mount(&s.face, open, s, openRoutes)
	serve.Mount(&s.face, e.Group("/api", s.face.Guard(s.identify)), s, routes)
	return s.passThrough(e)
}

const keyName = "key" // of a request's value with the caller's tenancy.Key

// identify authenticates the caller.
func (s *Server) identify(c *gin.Context) error {
	token, _ := strings.CutPrefix(c.GetHeader("Authorization"), "Bearer ")
	key, err := s.cfg.Tenancy.Authenticate(c.Request.Context(), strings.TrimSpace(token))
	if err != nil {
		return err
	}
	if id := c.Param("organizationId"); id != "" && id != key.Organization {
		return fault.Newf(fault.NotFound, "organization %q not found", id)
	}
	c.Set(keyName, key)
	return nil
}

func caller(c *gin.Context) tenancy.Key {
	key, _ := c.MustGet(keyName).(tenancy.Key)
	return key
}

type handler func(*Server, *gin.Context) error

// write lets do run for callers that may change sandboxes.
func write(do handler) handler { return needing(tenancy.WriteSandboxes, do) }

// remove lets do run for callers that may delete sandboxes.
func remove(do handler) handler { return needing(tenancy.DeleteSandboxes, do) }

func needing(p tenancy.Permission, do handler) handler {
	return func(s *Server, c *gin.Context) error {
		if err := caller(c).Need(p); err != nil {
			return err
		}
		return do(s, c)
	}
}

// Operations describes all routes, for the generated API description. Paths begin behind /api.
func Operations() []serve.Operation {
	return append(serve.Describe("", openRoutes), serve.Describe("", routes)...)
}
