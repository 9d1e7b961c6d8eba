// Package docker is the runner's Driver on the Docker engine.
//
// A sandbox is a container named by the sandbox's id, labelled as Sandlot's and as this instance's; everything without both
// labels is never seen, counted or touched. Its first process is toolboxd, mounted read-only with the trusted certificates
// under /opt/sandlot; what the image would have started is handed to toolboxd as the entrypoint session.
//
// Where lxcfs runs on the host, /proc/meminfo and its like show a sandbox what it has itself (procView, docs/decisions/0012).
//
// Containers run without capabilities beyond a short list, without new privileges (profile "hardened"), with limits on
// processor, memory (no swap), processes and log size, on a bridge of our own where containers do not reach each other.
package docker
