// Package sdk runs published client packages, installed from their registries in pinned versions, against a private Sandlot.
//
// python/ and typescript/ hold the programs and the pins: requirements-<release>.txt for each Python release, package-lock.json for
// the TypeScript one. What a set of pins installs is kept in the cache folder (harness.Cache) under the hash of the pins.
//
// TestEveryMethod calls every public method of both clients and keeps docs/compatibility.md: it fails when a method that has to work
// does not, and when the committed page differs from what it saw; -update rewrites the page.
package sdk
