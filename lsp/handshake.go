package lsp

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"

	"github.com/sourcegraph/jsonrpc2"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// capabilities are what a server says it can do. A provider is true, false or its options.
type capabilities struct {
	PositionEncoding string          `json:"positionEncoding"`
	TextDocumentSync json.RawMessage `json:"textDocumentSync"`
	Completion       json.RawMessage `json:"completionProvider"`
	Hover            json.RawMessage `json:"hoverProvider"`
	Definition       json.RawMessage `json:"definitionProvider"`
	References       json.RawMessage `json:"referencesProvider"`
	DocumentSymbol   json.RawMessage `json:"documentSymbolProvider"`
	WorkspaceSymbol  json.RawMessage `json:"workspaceSymbolProvider"`
	Formatting       json.RawMessage `json:"documentFormattingProvider"`
	Rename           json.RawMessage `json:"renameProvider"`
	Diagnostic       json.RawMessage `json:"diagnosticProvider"`
}

// has says whether a provider is there.
func has(provider json.RawMessage) bool {
	text := string(provider)
	return text != "" && text != "null" && text != "false"
}

// object is a JSON object.
type object = map[string]any

// ours is what this client can do for a program. It registers nothing later, so that a server says at once what it can
// do; and it changes no files. It has a configuration only where it knows one: bash-language-server, for one, looks at
// no document until it was answered.
func ours(program Program, options Options) object {
	return object{
		"general": object{"positionEncodings": []string{"utf-16"}},
		"window":  object{"workDoneProgress": true},
		"workspace": object{
			"configuration": options.Settings != nil, "workspaceFolders": true, "symbol": object{}, "didChangeConfiguration": object{},
			"didChangeWatchedFiles": object{}, "workspaceEdit": object{"documentChanges": true},
		},
		"textDocument": object{
			"synchronization": object{},
			"completion": object{
				"contextSupport": true,
				"completionItem": object{
					"documentationFormat": []string{"markdown", "plaintext"}, "snippetSupport": program.Snippets,
				},
			},
			"hover":              object{"contentFormat": []string{"markdown", "plaintext"}},
			"definition":         object{},
			"references":         object{},
			"documentSymbol":     object{"hierarchicalDocumentSymbolSupport": true},
			"formatting":         object{},
			"rename":             object{},
			"diagnostic":         object{},
			"publishDiagnostics": object{"versionSupport": true, "tagSupport": object{"valueSet": []int{1, 2}}},
		},
	}
}

// folders are the workspace folders of a project.
func folders(root string) []object {
	return []object{{"uri": fileURI(root), "name": filepath.Base(root)}}
}

// handshake makes c ready for requests. No process is named as the server's parent: a server that is told one looks
// every few seconds whether it is there, and this one ends its servers itself.
func (c *client) handshake(ctx context.Context, root string, options Options) error {
	params := object{
		"processId": nil, "clientInfo": object{"name": "sandlot"}, "rootPath": root, "rootUri": fileURI(root),
		"capabilities": ours(c.program, options), "workspaceFolders": folders(root),
	}
	if options.Init != nil {
		params["initializationOptions"] = options.Init
	}
	var result struct {
		Capabilities capabilities `json:"capabilities"`
	}
	if err := c.call(ctx, "initialize", params, &result); err != nil {
		return err
	}
	c.caps = result.Capabilities
	if enc := c.caps.PositionEncoding; enc != "" && enc != "utf-16" {
		c.unit = unitOf(enc)
	}
	if err := c.notify("initialized", object{}); err != nil {
		return err
	}
	if options.Settings == nil {
		return nil
	}
	return c.notify("workspace/didChangeConfiguration", object{"settings": options.Settings})
}

// answerer handles what a server sends by itself. Handle does not wait for anything.
type answerer struct {
	root      string
	settings  object
	published func(params json.RawMessage) // diagnostics
}

// maxItems bounds the settings that a server asks for at once.
const maxItems = 1000

// Handle answers a request, and takes in or ignores a notification.
func (a answerer) Handle(ctx context.Context, conn *jsonrpc2.Conn, req *jsonrpc2.Request) {
	var err error
	defer func() {
		if err != nil { // a panic: the message was made for it
			_ = conn.Close() // the end of the server is told to whoever waits for it
		}
	}()
	defer fault.Recovered(&err)
	var params json.RawMessage
	if req.Params != nil {
		params = *req.Params
	}
	if req.Notif {
		if req.Method == "textDocument/publishDiagnostics" {
			a.published(params)
		}
		return
	}
	result, known := a.answer(req.Method, params)
	if !known {
		refused := &jsonrpc2.Error{Code: jsonrpc2.CodeMethodNotFound, Message: "not supported: " + clip(req.Method)}
		_ = conn.ReplyWithError(ctx, req.ID, refused) // a server that has gone needs no answer
		return
	}
	_ = conn.Reply(ctx, req.ID, result)
}

// answer returns the result of a server's request; known is false for one that is not served.
func (a answerer) answer(method string, params json.RawMessage) (result any, known bool) {
	switch method {
	case "workspace/configuration":
		return a.configuration(params), true
	case "workspace/workspaceFolders":
		return folders(a.root), true
	case "workspace/applyEdit":
		return object{"applied": false, "failureReason": "this client changes no files"}, true
	case "window/showDocument":
		return object{"success": false}, true
	case "client/registerCapability", "client/unregisterCapability", "window/workDoneProgress/create",
		"window/showMessageRequest":
		return nil, true
	}
	refresh := strings.HasPrefix(method, "workspace/") && strings.HasSuffix(method, "/refresh")
	return nil, refresh
}

// configuration returns the settings that are asked for, null for each that there is not.
func (a answerer) configuration(params json.RawMessage) []any {
	var asked struct {
		Items []struct {
			Section string `json:"section"`
		} `json:"items"`
	}
	if json.Unmarshal(params, &asked) != nil {
		return []any{}
	}
	items := asked.Items[:min(len(asked.Items), maxItems)]
	values := make([]any, len(items))
	for i, item := range items {
		values[i] = setting(a.settings, item.Section)
	}
	return values
}

// setting finds a section such as "python.analysis", nil where there is none.
func setting(settings object, section string) any {
	var value any = settings
	if section == "" || settings == nil {
		return nil
	}
	for _, name := range strings.SplitN(section, ".", 10) {
		in, ok := value.(object)
		if !ok {
			return nil
		}
		value = in[name]
	}
	return value
}
