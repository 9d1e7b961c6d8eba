package toolbox

import (
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/internal/serve"
)

// unbuilt is a route of a feature that this release has not: it answers 501.
type unbuilt = serve.Route[struct{}]

// mount adds all routes to r. Each feature has a type that holds what it needs, and a table of its routes; together
// the tables hold every operation of the toolbox contract, those of newer clients and the unlisted ones included.
func (s *Server) mount(r gin.IRouter) {
	serve.Mount(&s.face, r, &s.system, systemRoutes)
	serve.Mount(&s.face, r, &s.commands, commandRoutes)
	serve.Mount(&s.face, r, &s.sessions, sessionRoutes)
	serve.Mount(&s.face, r, &s.terminals, terminalRoutes)
	serve.Mount(&s.face, r, &s.files, fileRoutes)
	serve.Mount(&s.face, r, &s.git, gitRoutes)
	serve.Mount(&s.face, r, &s.ports, portRoutes)
	serve.Mount(&s.face, r, &s.interpreters, interpreterRoutes)
	serve.Mount(&s.face, r, &s.lsp, lspRoutes)
	serve.Mount(&s.face, r, struct{}{}, computerUseRoutes)
}

// Operations describes all routes, for the generated API description.
func Operations() []serve.Operation {
	return slices.Concat(
		serve.Describe("", systemRoutes),
		serve.Describe("", commandRoutes),
		serve.Describe("", sessionRoutes),
		serve.Describe("", terminalRoutes),
		serve.Describe("", fileRoutes),
		serve.Describe("", gitRoutes),
		serve.Describe("", portRoutes),
		serve.Describe("", interpreterRoutes),
		serve.Describe("", lspRoutes),
		serve.Describe("", computerUseRoutes),
	)
}
