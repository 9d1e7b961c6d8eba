// Package fleet keeps the records of all sandboxes and makes their runners follow them.
//
// Every record has the observed state (State) and the desired one (Desired). A request changes the desired state. One
// worker per sandbox then asks the sandbox's Runner for one step after the other until both are equal. Every step may
// be repeated. Reports of runners correct the observed state. This is how the record recovers from a lost answer, from
// a crash, and from a change that somebody made in the engine.
//
// Create, Start and Stop wait for the result for at most Config.Hold, and then answer the state of the moment. A
// sandbox that ends by itself becomes stopped and stays so until a request starts it. A sandbox that ended with its
// engine is started again when the engine is back. Runners number their findings, and a record ignores a finding that
// is older than the newest one in it. A sandbox that has no record is left alone; Adopt writes a record of it.
//
// A clock stops idle sandboxes and deletes stopped ones at the intervals in their records. A sandbox with an open
// proxied connection is not idle. The clock ignores the deadlines of a runner until its first full report, because the
// records may be out of date. It asks the Store for the sandboxes that are due, by an index on Sandbox.Due, and reads
// no others. Activity is written every 5 s, in one write for all sandboxes. That write leaves Due as it is, because
// activity only postpones a deadline. The clock finds an active sandbox at its old deadline and postpones it then.
//
// # Parts
//
// Manager is the face. It holds one type for each subject, each with its own lock and in its own file:
//
//   - records reads and changes records in the Store, and publishes every change
//   - workers take steps from the observed to the desired state, one goroutine per sandbox that needs one
//   - placement chooses the runner of a new sandbox
//   - watchers are the requests that wait for a sandbox to reach its desired state
//   - activity has the latest traffic and the open connections of sandboxes
//   - clock stops idle sandboxes and deletes those that have reached their end
//   - strangers are the sandboxes that a runner has and that have no record
package fleet
