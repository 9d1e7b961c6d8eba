// Package client calls Sandlot's APIs: the Go SDK, on net/http.
//
//	c := client.New(url, key)
//	s, err := c.Create(ctx, api.CreateSandbox{})
//	...
//	res, err := c.Toolbox(s).Execute(ctx, api.ExecuteRequest{Command: "uname -a"})
//
// A Client calls the control API of one server with one API key. A Toolbox calls what runs inside one sandbox:
// commands, files, sessions and terminals. Both are safe for concurrent use.
//
// Calls last as long as their context. Refusals by a server are an *Error with its status, code and message; other
// errors are those of net/http.
package client
