package toolbox

import (
	"errors"
	"io"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/lsp"
)

// lspAPI serves /lsp.
type lspAPI struct {
	servers *lsp.Manager
}

// Query parameters that name a language server.
const (
	languageID    = "languageId"
	pathToProject = "pathToProject"
)

var lspRoutes = []serve.Route[*lspAPI]{
	{
		Method: "POST", Path: "/lsp/completions",
		Summary: "List what may stand at a position",
		In:      api.LSPCompletionRequest{}, Out: api.LSPCompletionList{}, Do: (*lspAPI).completions,
	},
	{
		Method: "POST", Path: "/lsp/definition",
		Summary: "Find where the thing at a position is defined",
		In:      api.LSPPositionRequest{}, Out: []api.LSPLocation{}, Do: (*lspAPI).definition,
	},
	{
		Method: "GET", Path: "/lsp/diagnostics", Query: []string{languageID, pathToProject, "uri"},
		Summary: "List what is wrong in a document", Out: []api.LSPDiagnostic{}, Do: (*lspAPI).diagnostics,
	},
	{
		Method: "GET", Path: "/lsp/diagnostics/stream", Query: []string{languageID, pathToProject},
		Summary: "Follow what is wrong in open documents, by server-sent events", Do: (*lspAPI).follow,
	},
	{
		Method: "POST", Path: "/lsp/did-change",
		Summary: "Give a document another text than its file has",
		In:      api.LSPChangeRequest{}, Do: (*lspAPI).change,
	},
	{
		Method: "POST", Path: "/lsp/did-close",
		Summary: "Close a document", In: api.LSPDocumentRequest{}, Do: (*lspAPI).close,
	},
	{
		Method: "POST", Path: "/lsp/did-open",
		Summary: "Open a document", In: api.LSPDocumentRequest{}, Do: (*lspAPI).open,
	},
	{
		Method: "GET", Path: "/lsp/document-symbols", Query: []string{languageID, pathToProject, "uri"},
		Summary: "List what a document declares", Out: []api.LSPSymbol{}, Do: (*lspAPI).documentSymbols,
	},
	{
		Method: "POST", Path: "/lsp/formatting",
		Summary: "List the edits that format a document",
		In:      api.LSPFormattingRequest{}, Out: []api.LSPTextEdit{}, Do: (*lspAPI).format,
	},
	{
		Method: "POST", Path: "/lsp/hover",
		Summary: "Describe the thing at a position",
		In:      api.LSPPositionRequest{}, Out: api.LSPHover{}, Do: (*lspAPI).hover,
	},
	{
		Method: "GET", Path: "/lsp/languages",
		Summary: "List the languages that are known", Out: []api.LSPLanguage{}, Do: (*lspAPI).languages,
	},
	{
		Method: "POST", Path: "/lsp/references",
		Summary: "Find where the thing at a position is used",
		In:      api.LSPReferencesRequest{}, Out: []api.LSPLocation{}, Do: (*lspAPI).references,
	},
	{
		Method: "POST", Path: "/lsp/rename",
		Summary: "List the edits that rename the thing at a position everywhere",
		In:      api.LSPRenameRequest{}, Out: api.LSPWorkspaceEdit{}, Do: (*lspAPI).rename,
	},
	{
		Method: "GET", Path: "/lsp/servers",
		Summary: "List the language servers that are started", Out: []api.LSPServerRequest{}, Do: (*lspAPI).list,
	},
	{
		Method: "POST", Path: "/lsp/start",
		Summary: "Start a language server", In: api.LSPServerRequest{}, Do: (*lspAPI).start,
	},
	{
		Method: "POST", Path: "/lsp/stop",
		Summary: "End a language server", In: api.LSPServerRequest{}, Do: (*lspAPI).stop,
	},
	{
		Method: "GET", Path: "/lsp/workspacesymbols", Query: []string{"query", languageID, pathToProject},
		Summary: "List what a project declares", Out: []api.LSPSymbol{}, Do: (*lspAPI).workspaceSymbols,
	},
}

func serverKey(r api.LSPServerRequest) lsp.Key {
	return lsp.Key{Language: r.LanguageID, Project: r.PathToProject}
}

// decode reads a body and returns the server that it names; of is the part of req that names it.
func (a *lspAPI) decode(c *gin.Context, req any, of *api.LSPServerRequest) (*lsp.Server, error) {
	if err := serve.Decode(c, req); err != nil {
		return nil, err
	}
	return a.servers.Server(serverKey(*of))
}

// asked returns the server that a query names.
func (a *lspAPI) asked(c *gin.Context) (*lsp.Server, error) {
	language, err := need(c, languageID)
	if err != nil {
		return nil, err
	}
	project, err := need(c, pathToProject)
	if err != nil {
		return nil, err
	}
	return a.servers.Server(lsp.Key{Language: language, Project: project})
}

// start handles POST /lsp/start.
func (a *lspAPI) start(c *gin.Context) error {
	var req api.LSPServerRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	if err := a.servers.Start(c.Request.Context(), serverKey(req)); err != nil {
		return err
	}
	c.Status(http.StatusOK)
	return nil
}

// stop handles POST /lsp/stop.
func (a *lspAPI) stop(c *gin.Context) error {
	var req api.LSPServerRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	if err := a.servers.Stop(serverKey(req)); err != nil {
		return err
	}
	c.Status(http.StatusOK)
	return nil
}

// list handles GET /lsp/servers.
func (a *lspAPI) list(c *gin.Context) error {
	answer := []api.LSPServerRequest{}
	for _, k := range a.servers.Servers() {
		answer = append(answer, api.LSPServerRequest{LanguageID: k.Language, PathToProject: k.Project})
	}
	c.JSON(http.StatusOK, answer)
	return nil
}

// languages handles GET /lsp/languages.
func (a *lspAPI) languages(c *gin.Context) error {
	c.JSON(http.StatusOK, each(a.servers.Available(), func(l lsp.Available) api.LSPLanguage {
		return api.LSPLanguage{LanguageID: l.Language, Server: l.Server, Install: l.Install}
	}))
	return nil
}

// open handles POST /lsp/did-open.
func (a *lspAPI) open(c *gin.Context) error {
	var req api.LSPDocumentRequest
	server, err := a.decode(c, &req, &req.LSPServerRequest)
	if err != nil {
		return err
	}
	if err := server.OpenDocument(c.Request.Context(), req.URI); err != nil {
		return err
	}
	c.Status(http.StatusOK)
	return nil
}

// close handles POST /lsp/did-close.
func (a *lspAPI) close(c *gin.Context) error {
	var req api.LSPDocumentRequest
	server, err := a.decode(c, &req, &req.LSPServerRequest)
	if err != nil {
		return err
	}
	if err := server.CloseDocument(c.Request.Context(), req.URI); err != nil {
		return err
	}
	c.Status(http.StatusOK)
	return nil
}

// change handles POST /lsp/did-change.
func (a *lspAPI) change(c *gin.Context) error {
	var req api.LSPChangeRequest
	server, err := a.decode(c, &req, &req.LSPServerRequest)
	if err != nil {
		return err
	}
	if err := server.ChangeDocument(c.Request.Context(), req.URI, *req.Text); err != nil {
		return err
	}
	c.Status(http.StatusOK)
	return nil
}

// completions handles POST /lsp/completions.
func (a *lspAPI) completions(c *gin.Context) error {
	var req api.LSPCompletionRequest
	server, err := a.decode(c, &req, &req.LSPServerRequest)
	if err != nil {
		return err
	}
	list, err := server.Completions(c.Request.Context(), req.URI, lsp.Position(*req.Position),
		lsp.CompletionContext(req.Context))
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, api.LSPCompletionList{IsIncomplete: list.IsIncomplete, Items: each(list.Items, wireItem)})
	return nil
}

// hover handles POST /lsp/hover.
func (a *lspAPI) hover(c *gin.Context) error {
	var req api.LSPPositionRequest
	server, err := a.decode(c, &req, &req.LSPServerRequest)
	if err != nil {
		return err
	}
	hover, err := server.Hover(c.Request.Context(), req.URI, lsp.Position(*req.Position))
	if err != nil {
		return err
	}
	answer := api.LSPHover{Contents: hover.Contents}
	if hover.Range != nil {
		at := wireRange(*hover.Range)
		answer.Range = &at
	}
	c.JSON(http.StatusOK, answer)
	return nil
}

// definition handles POST /lsp/definition.
func (a *lspAPI) definition(c *gin.Context) error {
	var req api.LSPPositionRequest
	server, err := a.decode(c, &req, &req.LSPServerRequest)
	if err != nil {
		return err
	}
	found, err := server.Definition(c.Request.Context(), req.URI, lsp.Position(*req.Position))
	if err != nil {
		return err
	}
	answerFound(c, found.Truncated, each(found.List, wireLocation))
	return nil
}

// references handles POST /lsp/references.
func (a *lspAPI) references(c *gin.Context) error {
	var req api.LSPReferencesRequest
	server, err := a.decode(c, &req, &req.LSPServerRequest)
	if err != nil {
		return err
	}
	at := lsp.Position(*req.Position)
	found, err := server.References(c.Request.Context(), req.URI, at, req.IncludeDeclaration)
	if err != nil {
		return err
	}
	answerFound(c, found.Truncated, each(found.List, wireLocation))
	return nil
}

// rename handles POST /lsp/rename.
func (a *lspAPI) rename(c *gin.Context) error {
	var req api.LSPRenameRequest
	server, err := a.decode(c, &req, &req.LSPServerRequest)
	if err != nil {
		return err
	}
	edit, err := server.Rename(c.Request.Context(), req.URI, lsp.Position(*req.Position), req.NewName)
	if err != nil {
		return err
	}
	answer := api.LSPWorkspaceEdit{Changes: map[string][]api.LSPTextEdit{}}
	for uri, edits := range edit.Changes {
		answer.Changes[uri] = each(edits, wireEdit)
	}
	c.JSON(http.StatusOK, answer)
	return nil
}

// format handles POST /lsp/formatting.
func (a *lspAPI) format(c *gin.Context) error {
	var req api.LSPFormattingRequest
	server, err := a.decode(c, &req, &req.LSPServerRequest)
	if err != nil {
		return err
	}
	how := lsp.FormatOptions{TabSize: req.TabSize, InsertSpaces: req.InsertSpaces == nil || *req.InsertSpaces}
	edits, err := server.Format(c.Request.Context(), req.URI, how)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, each(edits, wireEdit))
	return nil
}

// documentSymbols handles GET /lsp/document-symbols.
func (a *lspAPI) documentSymbols(c *gin.Context) error {
	server, err := a.asked(c)
	if err != nil {
		return err
	}
	uri, err := need(c, "uri")
	if err != nil {
		return err
	}
	found, err := server.DocumentSymbols(c.Request.Context(), uri)
	if err != nil {
		return err
	}
	answerFound(c, found.Truncated, each(found.List, wireSymbol))
	return nil
}

// workspaceSymbols handles GET /lsp/workspacesymbols.
func (a *lspAPI) workspaceSymbols(c *gin.Context) error {
	server, err := a.asked(c)
	if err != nil {
		return err
	}
	query, given := c.GetQuery("query")
	if !given {
		return fault.New(fault.Invalid, `the query value "query" is missing; an empty one finds everything`)
	}
	found, err := server.WorkspaceSymbols(c.Request.Context(), query)
	if err != nil {
		return err
	}
	answerFound(c, found.Truncated, each(found.List, wireSymbol))
	return nil
}

// diagnostics handles GET /lsp/diagnostics.
func (a *lspAPI) diagnostics(c *gin.Context) error {
	server, err := a.asked(c)
	if err != nil {
		return err
	}
	uri, err := need(c, "uri")
	if err != nil {
		return err
	}
	list, err := server.Diagnostics(c.Request.Context(), uri)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, each(list, wireDiagnostic))
	return nil
}

// follow handles GET /lsp/diagnostics/stream. The answer ends when the server is stopped.
func (a *lspAPI) follow(c *gin.Context) error {
	server, err := a.asked(c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	published := server.Subscribe()
	beginEvents(c)
	for err == nil {
		c.Writer.Flush()
		var one lsp.Published
		if one, err = published.Next(ctx); err == nil {
			err = sendEvent(c, "", "diagnostics", api.LSPDiagnosticsEvent{
				URI: one.URI, Version: one.Version, Diagnostics: each(one.Diagnostics, wireDiagnostic), Lost: one.Lost,
			})
		}
	}
	if errors.Is(err, io.EOF) || ctx.Err() != nil {
		return nil // it was stopped, or the client has left
	}
	return err
}

// answerFound answers a list, and says in a header whether there is more.
func answerFound[T any](c *gin.Context, truncated bool, list []T) {
	if truncated {
		c.Header("X-Sandlot-Truncated", "true")
	}
	c.JSON(http.StatusOK, list)
}

// each converts a list. The result is never nil.
func each[A, B any](list []A, convert func(A) B) []B {
	converted := make([]B, len(list))
	for i, one := range list {
		converted[i] = convert(one)
	}
	return converted
}

func wireRange(r lsp.Range) api.LSPRange {
	return api.LSPRange{Start: api.LSPPosition(r.Start), End: api.LSPPosition(r.End)}
}

func wireLocation(l lsp.Location) api.LSPLocation {
	return api.LSPLocation{URI: l.URI, Range: wireRange(l.Range)}
}

func wireEdit(e lsp.TextEdit) api.LSPTextEdit {
	return api.LSPTextEdit{Range: wireRange(e.Range), NewText: e.NewText}
}

func wireSymbol(s lsp.Symbol) api.LSPSymbol {
	return api.LSPSymbol{
		Name: s.Name, Kind: s.Kind, ContainerName: s.ContainerName, Location: wireLocation(s.Location),
	}
}

func wireItem(i lsp.CompletionItem) api.LSPCompletionItem {
	item := api.LSPCompletionItem{
		Label: i.Label, Kind: i.Kind, Detail: i.Detail, Documentation: i.Documentation, SortText: i.SortText,
		FilterText: i.FilterText, InsertText: i.InsertText, InsertTextFormat: i.InsertTextFormat,
	}
	if i.TextEdit != nil {
		edit := wireEdit(*i.TextEdit)
		item.TextEdit = &edit
	}
	return item
}

func wireDiagnostic(d lsp.Diagnostic) api.LSPDiagnostic {
	return api.LSPDiagnostic{
		Range: wireRange(d.Range), Severity: d.Severity, Code: d.Code, Source: d.Source, Message: d.Message, Tags: d.Tags,
	}
}
