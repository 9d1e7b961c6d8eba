package toolbox

var lspRoutes = []unbuilt{
	{Method: "POST", Path: "/lsp/completions", Feature: "language servers"},
	{Method: "POST", Path: "/lsp/did-close", Feature: "language servers"},
	{Method: "POST", Path: "/lsp/did-open", Feature: "language servers"},
	{Method: "GET", Path: "/lsp/document-symbols", Feature: "language servers"},
	{Method: "POST", Path: "/lsp/start", Feature: "language servers"},
	{Method: "POST", Path: "/lsp/stop", Feature: "language servers"},
	{Method: "GET", Path: "/lsp/workspacesymbols", Feature: "language servers"},
}
