// Package coordinator is the public control API: Daytona's control plane on Sandlot's fleet and tenancy.
//
// Handlers decode, make one call into fleet or tenancy, and encode. All routes are in one table (routes.go) below /api.
// Errors have the source DAYTONA_API. Every answer has the keys that any published client release requires, and exactly
// the status of the contract, because some clients ignore the body under another one.
package coordinator
