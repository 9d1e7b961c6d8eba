// Package store keeps the coordinator's records in SQL.
//
// The database is SQLite in WAL mode, inside the process. A committed change survives a crash of the process. A power
// cut may lose the last changes; the reports of runners then correct the records. One write runs at a time; reads do
// not wait for it. The schema is migrations/*.sql, applied by Open.
//
// Each noun has a file: sandboxes.go, list.go (filters and pages of sandboxes), deadlines.go, activity.go,
// snapshots.go, links.go (with doors), tenancy.go. Another database is held to the same contract by fleettest.Store.
package store
