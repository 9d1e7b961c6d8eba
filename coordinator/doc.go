// Package coordinator is the public control API: Daytona's control plane on Sandlot's fleet and tenancy.
//
// Handlers decode, make one call into fleet or tenancy, and encode; routes are one table (routes.go) under /api.
// Errors carry the source DAYTONA_API. Every answer has the keys that any published client release requires, and the
// contract's own status: some clients find no value under another.
package coordinator
