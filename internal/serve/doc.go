// Package serve is the HTTP plumbing that every wire room shares: routes as a table, errors as one body, a server
// that drains.
//
// A wire room lists its routes as Route values, whose handlers return errors. Mount hangs them into a gin engine;
// Problem turns an error into status and body, and is the only place that knows HTTP statuses. Requests are bounded:
// headers within 10 s and 64 KiB, JSON bodies by Bodies, messages of errors at 8 KiB; bodies that stream have no
// bound in size or time.
package serve
