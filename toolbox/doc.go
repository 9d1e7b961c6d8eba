// Package toolbox is the HTTP and websocket face of the daemon inside a sandbox.
//
// It decodes, makes one call into a domain room (process, session, workspace) and encodes; the wire's oddities stay here and in
// api. Routes are one table (routes.go), one file per feature beside it. The wire is Daytona's toolbox contract: plain HTTP on
// port 2280, paths at the root, errors as internal/serve writes them with source DAYTONA_DAEMON.
//
// With Config.SecretHash set, every request must carry the secret in the header X-Sandlot-Secret: runner and proxy add it. Without
// one (a bare `docker run` of our image) all requests are taken, as the wire asks. A Gate stands before the toolbox of a sandbox that is not known
// yet: it answers GET /version, and POST /init with the claim's secret, once.
package toolbox
