// Package store keeps the coordinator's records in SQL.
//
// SQLite in WAL mode, inside the process. A committed change survives the process at any moment; after a power cut
// the last moments may be missing, which the runners' reports mend. Writes are one at a time; reads do not wait for
// them. The schema is migrations/*.sql, applied by Open.
//
// One file for each noun: sandboxes.go, list.go (their filters and pages), deadlines.go, activity.go, snapshots.go,
// links.go (with doors), tenancy.go. A further database passes fleettest.Store.
package store
