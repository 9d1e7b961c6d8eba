package upstream

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"time"
)

// RestWithin bounds how long a client may go on sending after its answer.
const RestWithin = time.Second

// Forward passes r on and the answer back to W. Rewrite, ModifyResponse, BufferPool and ErrorLog of by are the
// caller's.
//
// When no answer comes, or ModifyResponse refuses it, Forward returns what why makes of the reason, and nothing has
// been answered. It calls why before it gives up the request's body, which may end the client's connection.
func (x *Exchange) Forward(r *http.Request, by httputil.ReverseProxy, why func(error) error) error {
	var failed error
	patience := time.Duration(0)
	defer func() { x.finish(patience) }()
	modify := by.ModifyResponse
	by.Transport = x
	by.ModifyResponse = func(res *http.Response) error {
		if res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols {
			return fmt.Errorf("status %03d is none", res.StatusCode)
		}
		if modify == nil {
			return nil
		}
		return modify(res)
	}
	by.ErrorHandler = func(_ http.ResponseWriter, _ *http.Request, err error) { failed = err }
	by.ServeHTTP(x.W, r)
	if failed != nil {
		return why(failed)
	}
	patience = RestWithin
	return nil
}
