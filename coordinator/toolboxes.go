package coordinator

import (
	"net/http"
	"net/url"
	"strings"
)

// passThrough passes the toolbox calls of clients before 0.113, /api/toolbox/{sandboxId}/toolbox/{path}, to
// Config.Toolboxes as /toolbox/{sandboxId}/{path}. It runs before the router, because bodies are streams and
// Config.Toolboxes checks the credentials itself.
func (s *Server) passThrough(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		escaped, ok := toolboxPath(r.URL.EscapedPath())
		if !ok || s.cfg.Toolboxes == nil {
			next.ServeHTTP(w, r)
			return
		}
		path, err := url.PathUnescape(escaped)
		if err != nil { // cannot happen: the URL was parsed
			next.ServeHTTP(w, r)
			return
		}
		to := *r
		to.URL = &url.URL{}
		*to.URL = *r.URL
		to.URL.Path, to.URL.RawPath = path, escaped
		to.Host = "localhost" // the name of this server could be taken for that of a preview
		s.cfg.Toolboxes.ServeHTTP(w, &to)
	})
}

// toolboxPath returns the proxy's path for a path of passThrough.
func toolboxPath(escaped string) (string, bool) {
	rest, ok := strings.CutPrefix(escaped, "/api/toolbox/")
	id, path, isToolbox := strings.Cut(rest, "/toolbox/")
	if !ok || !isToolbox || id == "" || strings.Contains(id, "/") {
		return "", false
	}
	if path == "project-dir" { // the older name of the folder that relative paths start from
		path = "work-dir"
	}
	return "/toolbox/" + id + "/" + path, true
}
