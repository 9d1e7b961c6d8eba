// Package runnerd is the daemon of a Docker host. It joins the life of sandboxes (runnerd/sandbox) with the engine
// (runnerd/docker) and with the daemon inside them.
//
// A Runner installs toolboxd and the trusted certificates into a folder named by their content. Sandboxes mount it
// read-only. A newer release makes another folder, so running sandboxes keep theirs. In this release coordinator and
// runner are one process and meet as Go values; the HTTP face for runners on other hosts is not built yet.
package runnerd
