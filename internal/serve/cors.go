package serve

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// AllowOrigin lets pages of any origin call, without cookies: credentials are then only in headers that the page set
// itself. It reports whether the request was a preflight, which is answered by it.
func AllowOrigin(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Add("Vary", "Origin")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		h.Set("Access-Control-Expose-Headers", "*")
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, PUT, PATCH, POST, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// CORS is AllowOrigin as middleware.
func CORS() gin.HandlerFunc {
	return func(c *gin.Context) {
		if AllowOrigin(c.Writer, c.Request) {
			c.Abort()
		}
	}
}
