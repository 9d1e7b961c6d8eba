package coordinator

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/coordinator/tenancy"
	"github.com/sandlot-dev/sandlot/internal/auth"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

// createKey handles POST /api-keys.
func (s *Server) createKey(c *gin.Context) error {
	var in api.CreateAPIKey
	if err := serve.Decode(c, &in); err != nil {
		return err
	}
	permissions := make([]tenancy.Permission, len(in.Permissions))
	for i, p := range in.Permissions {
		permissions[i] = tenancy.Permission(p)
	}
	var expiresAt time.Time
	if in.ExpiresAt != nil {
		if expiresAt = *in.ExpiresAt; expiresAt.IsZero() { // the year 1, which would mean never
			return fault.New(fault.Invalid, "expiresAt is long past; leave it out for a key that never expires")
		}
	}
	k, secret, err := s.cfg.Tenancy.CreateKey(c.Request.Context(), caller(c), in.Name, permissions, expiresAt)
	if err != nil {
		return err
	}
	c.JSON(http.StatusCreated, api.CreatedAPIKey{
		Name: k.Name, Value: secret, CreatedAt: k.CreatedAt, Permissions: words(k.Permissions), ExpiresAt: orNil(k.ExpiresAt),
	})
	return nil
}

// listKeys handles GET /api-keys.
func (s *Server) listKeys(c *gin.Context) error {
	keys, err := s.cfg.Tenancy.Keys(c.Request.Context(), caller(c))
	if err != nil {
		return err
	}
	out := make([]api.APIKey, len(keys))
	for i, k := range keys {
		out[i] = wireKey(k)
	}
	c.JSON(http.StatusOK, out)
	return nil
}

// currentKey handles GET /api-keys/current.
func (s *Server) currentKey(c *gin.Context) error {
	c.JSON(http.StatusOK, wireKey(caller(c)))
	return nil
}

// getKey handles GET /api-keys/{name}.
func (s *Server) getKey(c *gin.Context) error {
	k, err := s.cfg.Tenancy.Key(c.Request.Context(), caller(c), "", c.Param("name"))
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, wireKey(k))
	return nil
}

// deleteKey handles DELETE /api-keys/{name}.
func (s *Server) deleteKey(c *gin.Context) error { return s.dropKey(c, "", c.Param("name")) }

// deleteUserKey handles DELETE /api-keys/{userId}/{name}. The router has one name for the first part of both routes.
func (s *Server) deleteUserKey(c *gin.Context) error {
	return s.dropKey(c, c.Param("name"), c.Param("key"))
}

func (s *Server) dropKey(c *gin.Context, user, name string) error {
	if err := s.cfg.Tenancy.DeleteKey(c.Request.Context(), caller(c), user, name); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

func wireKey(k tenancy.Key) api.APIKey {
	return api.APIKey{
		Name: k.Name, Value: auth.Mask(k.Prefix, k.Suffix), OrganizationID: k.Organization, UserID: k.User,
		Permissions: words(k.Permissions), CreatedAt: k.CreatedAt, LastUsedAt: orNil(k.LastUsedAt),
		ExpiresAt: orNil(k.ExpiresAt),
	}
}

func words(permissions []tenancy.Permission) []string {
	list := make([]string, len(permissions))
	for i, p := range permissions {
		list[i] = string(p)
	}
	return list
}
