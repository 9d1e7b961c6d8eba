package coordinator

import (
	"net/http"
	"net/url"
	"strings"
)

// passThrough hands /api/toolbox/{sandboxId}/toolbox/{path}, where clients before 0.113 send toolbox calls, to
// Config.Toolboxes as /toolbox/{sandboxId}/{path}. It stands before the router: bodies and answers are streams, and
// their credentials are looked at there.
func (s *Server) passThrough(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		escaped, ok := toolboxPath(r.URL.EscapedPath())
		if !ok || s.cfg.Toolboxes == nil {
			next.ServeHTTP(w, r)
			return
		}
		path, err := url.PathUnescape(escaped)
		if err != nil { // a URL that was parsed has no such escapes
			next.ServeHTTP(w, r)
			return
		}
		to := *r
		to.URL = &url.URL{}
		*to.URL = *r.URL
		to.URL.Path, to.URL.RawPath = path, escaped
		to.Host = "localhost" // this server's own name may look like that of a preview
		s.cfg.Toolboxes.ServeHTTP(w, &to)
	})
}

// toolboxPath turns the path of a pass-through into that of the proxy.
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
