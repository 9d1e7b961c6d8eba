// Package sandboxtest has the contract of sandbox.Driver as tests. Every implementation runs them: the one on a map
// that the Manager's tests use, and the one on Docker (build tag e2e).
package sandboxtest
