// Package harness runs the built programs for tests: a private Sandlot, a toolboxd on loopback, a Docker engine that
// may be killed, small images, and the published clients.
//
// Everything is private to one test: a data folder of its own, free loopback ports, and containers under a label of
// its own, which Close proves to be gone. Programs are taken from bin/ of the repository (`make build`), or from the
// folder SANDLOT_BIN names.
//
// Nothing here sleeps: Until looks at a condition until it holds, and fails with what it waited for.
//
//	s := harness.Start(t, harness.Options{})
//	box := s.As(t, s.Key).Create(map[string]any{"name": "a"})
//	out := box.Toolbox("POST", "/process/execute", map[string]any{"command": "echo hi"}).Want(200)
package harness
