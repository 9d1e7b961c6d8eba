// Package fleet decides which sandboxes should exist and brings it about.
//
// Every sandbox has a record with what is (State) and what is wanted (Desired). A request changes what is wanted and
// returns; one worker per sandbox closes the difference, a step at a time, each step repeatable, by asking the
// sandbox's Runner. What runners report corrects what is. So a lost answer, a crash and a change made behind our back
// are all mended the same way.
//
// Create, Start and Stop wait for the result, at most Config.Hold (8 s: one published client gives up after 10), and
// otherwise answer the state under way. A sandbox that ends by itself becomes stopped and stays so until it is
// started; one that ended with its engine is started again when the engine is back. What runners find out is
// numbered, and a record takes nothing that is older than what it took. A sandbox that a runner has and no record
// knows is left alone (Adopt writes its record).
//
// A sandbox with an open proxied connection is not idle. A clock stops idle sandboxes and deletes stopped ones, by
// their own intervals. It keeps no deadline of a runner that has not sent a full report: until then the records may
// be older than what is. It asks the Store for what is due (Sandbox.Due, which the Store keeps by an index) and never
// reads the other sandboxes. Activity is written every 5 s, in one write for all sandboxes, and leaves Due alone: it
// only makes a deadline later. So the clock finds an active sandbox at its old deadline and postpones it.
//
// # Parts
//
// Manager is the face. It holds one type for each subject, each with a lock of its own and in a file of its own:
//
//   - records reads and changes records in the Store, and publishes every change
//   - workers close the difference between what is and what is wanted, one goroutine for each sandbox that has one
//   - placement chooses the runner of a new sandbox
//   - watchers are the requests that wait for a sandbox to settle
//   - activity knows the latest traffic and the open connections of sandboxes
//   - clock stops the idle and deletes what has reached its end
//   - strangers are the sandboxes that a runner has and no record knows
package fleet
