// Package toolbox is the HTTP and websocket face of the daemon inside a sandbox.
//
// A handler decodes, makes one call into a domain room (process, session, workspace, telemetry) and encodes. The
// oddities of the wire stay here and in api. The wire is the toolbox contract of the published clients: plain HTTP on
// port 2280, paths at the root, errors as internal/serve writes them with source DAYTONA_DAEMON.
//
// # Features
//
// Each feature has a file with a type that holds what its handlers need, and a table of its routes: files.go has
// fileAPI and fileRoutes. Server holds one value of each type; routes.go mounts and describes the tables. A feature
// that is not built has a table alone, and answers 501. Beside features stand what several of them use: output.go (a
// command's output as an answer), jsonstring.go, listing.go (long lists), frames.go and socket.go (websockets).
//
// # Admission
//
// With Config.SecretHash set, every request must carry the secret in the header X-Sandlot-Secret, which runner and
// proxy add. Without it, as in a bare `docker run` of our image, all requests are admitted. A Gate stands before the
// toolbox of a sandbox that is not known yet: it answers GET /version, and POST /init with the claim's secret, once.
//
// # Lifetime
//
// New starts nothing. Server.Close waits for all requests and closes sessions, terminals, watches and connections to
// ports.
package toolbox
