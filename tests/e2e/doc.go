// Package e2e holds one Sandlot to its promises from outside: the control API, the proxy, and what runs inside a
// sandbox.
//
// Its tests stand behind the build tag e2e, need a Docker engine and `make build images`, and share one Sandlot on
// the default image and one on a small one without bash; tests that change settings or kill things start their own.
// Tests that wait for minutes are left out by -short.
package e2e
