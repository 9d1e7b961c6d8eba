package serve

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/logkey"
)

// Route is one line of a server's table: it feeds the router, the OpenAPI file and the reference page.
//
// Path is in gin's form (/files/:id). Query names the query parameters, those that may be missing with a "?" behind.
// In and Out are zero values of the JSON types, nil where there is no JSON body; Status is that of success, 0 meaning
// 200. A Route without Do is part of the contract but not of this release: it answers 501 and names Feature.
type Route[S any] struct {
	Method, Path, Summary string
	Query                 []string
	In, Out               any
	Status                int
	Do                    func(S, *gin.Context) error
	Feature               string
}

// Mount hangs the routes of s into r.
func Mount[S any](f *Face, r gin.IRouter, s S, routes []Route[S]) {
	for _, rt := range routes {
		do := rt.Do
		if do == nil {
			feature := rt.Feature
			do = func(S, *gin.Context) error {
				return fault.Newf(fault.NotBuilt, "%s is not built yet in this release of Sandlot", feature)
			}
		}
		r.Handle(rt.Method, rt.Path, f.Wrap(func(c *gin.Context) error { return do(s, c) }))
	}
}

// NewEngine returns a gin engine that answers unknown routes with the error body, and panics with 500.
func (f *Face) NewEngine() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.UseRawPath, e.UnescapePathValues = true, false
	e.RedirectTrailingSlash, e.RedirectFixedPath, e.HandleMethodNotAllowed = false, false, false
	e.Use(unescape, func(c *gin.Context) { c.Set(bodiesKey, &f.Bodies) })
	e.NoRoute(f.Wrap(func(c *gin.Context) error {
		return fault.Newf(fault.NotFound, "Cannot %s %s", c.Request.Method, c.Request.URL.Path)
	}))
	return e
}

// unescape reads the parameters of a path. gin's own reading takes a plus for a space in some paths, which makes one
// name another.
func unescape(c *gin.Context) {
	if c.Request.URL.RawPath == "" { // then gin has taken them from Path
		return
	}
	for i := range c.Params {
		if value, err := url.PathUnescape(c.Params[i].Value); err == nil { // a URL that was parsed has no other escapes
			c.Params[i].Value = value
		}
	}
}

// Wrap makes a gin handler of one that returns an error. It writes the access line: at Debug, since a busy sandbox
// has thousands a second and a failure is logged by Problem.
func (f *Face) Wrap(do func(*gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		began := time.Now()
		defer func() {
			if p := recover(); p != nil {
				if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(p)
				}
				f.Logger.Error("handler panicked", logkey.Path, c.Request.URL.Path, logkey.Err, p, "stack", string(debug.Stack()))
				f.Problem(c, fmt.Errorf("panic: %v", p))
			}
		}()
		if err := do(c); err != nil {
			f.Problem(c, err)
		}
		f.Logger.Debug("request", logkey.Method, c.Request.Method, logkey.Path, c.Request.URL.Path,
			logkey.Status, c.Writer.Status(), logkey.Took, time.Since(began))
	}
}

// Guard makes middleware of a check: when it fails, its error is the answer and no route runs.
func (f *Face) Guard(check func(*gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := check(c); err != nil {
			f.Problem(c, err)
			c.Abort()
		}
	}
}

// Operation is a Route without its handler, for those that describe an API.
type Operation struct {
	Method, Path, Summary string
	Query                 []string
	In, Out               any
	Status                int
	Feature               string // "" when it is built
}

// Describe returns the operations of routes under a path prefix. It panics if a request type has a rule that Decode
// does not know.
func Describe[S any](prefix string, routes []Route[S]) []Operation {
	ops := make([]Operation, 0, len(routes))
	for _, rt := range routes {
		knownRules(rt.In)
		status := rt.Status
		if status == 0 {
			status = http.StatusOK
		}
		ops = append(ops, Operation{rt.Method, prefix + rt.Path, rt.Summary, rt.Query, rt.In, rt.Out, status, rt.Feature})
	}
	return ops
}
