package coordinator

import "time"

// SetBodiesWithin sets how long a body may take to come.
func (s *Server) SetBodiesWithin(d time.Duration) { s.face.Bodies.Within = d }
