// Package sdk runs published client packages, installed from their registries in pinned versions, against a private
// Sandlot.
//
// python/ and typescript/ hold the programs and the pins: requirements-<release>.txt for each Python release,
// package-lock.json for the TypeScript one, and typescript/releases for all of TypeScript's matrix. What a set of
// pins installs is kept in the cache folder (harness.Cache) under the hash of the pins.
//
// TestReleases runs one small program with releases since 2025: with those marked Always, with all of PythonReleases
// and NodeReleases when SANDLOT_SDK=all (`make clients`), with the newest when SANDLOT_SDK=latest.
//
// TestEveryMethod calls every public method of both clients and keeps docs/compatibility.md: it fails when a method
// that has to work does not, when one works whose result was not compared, and when the committed page differs from
// what it saw; -update rewrites the page.
package sdk
