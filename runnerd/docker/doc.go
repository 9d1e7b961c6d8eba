// Package docker is the runner's Driver on the Docker engine.
//
// A sandbox is a container named by the sandbox's id. Its labels say that it is Sandlot's and which instance it
// belongs to; a container without both labels is never listed, counted or touched. Its first process is toolboxd,
// mounted read-only with the trusted certificates under sandbox.InjectPath.
//
// Where lxcfs runs on the host, /proc/meminfo and similar files show what the sandbox has itself (procView,
// docs/decisions/0012).
//
// Containers run with a short list of capabilities, without new privileges (profile "hardened"), with limits on
// processor, memory (no swap), processes and log size. Their network is a bridge on which containers do not reach
// each other.
package docker
