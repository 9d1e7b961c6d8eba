// Package fault is the one vocabulary of errors.
//
// An error that a caller may act on has a Kind, and a wire code where the published clients know one. Rooms return
// sentinels made with New, wrapped with the act and its object, or errors made with Newf and Codef; internal/serve
// alone turns a kind into an HTTP status. An error without a Kind is a defect: it is logged whole and answered as 500
// without its text.
//
//	var ErrNotFound = fault.New(fault.NotFound, "session not found")
//
//	return fmt.Errorf("session %q: %w", id, ErrNotFound)
//	return fault.Codef(fault.NotFound, "FILE_NOT_FOUND", "no such file: %s", path)
package fault
