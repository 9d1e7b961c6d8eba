package api

// Strings is an answer whose values are all strings, as several typed clients decode it.
type Strings map[string]string

// Dir answers GET /work-dir and GET /user-home-dir.
type Dir struct {
	Dir string `json:"dir"` // absolute path
}

// InitializeRequest is the body of POST /init.
type InitializeRequest struct {
	Token string `json:"token"` // may be missing
}
