// Package form reads multipart/form-data bodies (RFC 7578, RFC 2046 5.1.1) at the speed of a memory scan and in
// bounded memory.
//
// A Scanner walks the parts of a body in order; the content of a part comes in pieces of the caller's one buffer,
// without copies. Of a part's headers only the name is read: file names and types mean nothing here. Headers of a
// part may be 16 KiB together. A Scanner belongs to one goroutine.
//
//	boundary, err := form.Boundary(r.Header.Get("Content-Type"))
//	s := form.NewScanner(r.Body, boundary, make([]byte, 256<<10))
//	for name, err := s.Part(); err == nil; name, err = s.Part() {
//		for last := false; !last; {
//			piece, last, err = s.Next()
//		}
//	}
package form
