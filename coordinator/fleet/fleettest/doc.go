// Package fleettest has the contracts of the interfaces of fleet as tests, and a Store in memory for tests.
//
// Every implementation of fleet.Store runs Store, every implementation of fleet.Runner runs Runner:
//
//	func TestStore(t *testing.T) { fleettest.Store(t, open) }
package fleettest
