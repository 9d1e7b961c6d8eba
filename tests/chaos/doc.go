// Package chaos kills Sandlot and its engine at bad moments, and takes the disk away, and looks at what is left.
//
// Its tests stand behind the build tag e2e and run an engine of their own, so they need root and dockerd (make test
// installs it). After each fault, what the API lists and what the engine has must agree within 60 s, and after a
// delete of everything no container is left.
package chaos
