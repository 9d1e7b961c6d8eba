package toolbox

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/workspace/git"
)

// gitClone handles POST /git/clone.
func (s *Server) gitClone(c *gin.Context) error {
	var req api.GitCloneRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	return s.git.Clone(c.Request.Context(), git.CloneSpec{
		URL: req.URL, Path: req.Path, Branch: req.Branch, CommitID: req.CommitID, Depth: req.Depth, InsecureSkipTLS: req.InsecureSkipTLS,
		Credentials: git.Credentials{Username: req.Username, Password: req.Password},
	})
}

// gitStatus handles GET /git/status.
func (s *Server) gitStatus(c *gin.Context) error {
	path, err := need(c, "path")
	if err != nil {
		return err
	}
	st, err := s.git.Status(c.Request.Context(), path)
	if err != nil {
		return err
	}
	out := api.GitStatus{
		CurrentBranch: st.Branch, FileStatus: make([]api.GitFileStatus, len(st.Files)), BranchPublished: st.Upstream != "",
		Ahead: st.Ahead, Behind: st.Behind, Detached: st.Detached, Upstream: st.Upstream,
	}
	for i, f := range st.Files {
		out.FileStatus[i] = api.GitFileStatus{Name: f.Name, Extra: f.Old, Staging: string(f.Staging), Worktree: string(f.Worktree)}
	}
	c.JSON(http.StatusOK, out)
	return nil
}

// gitAdd handles POST /git/add.
func (s *Server) gitAdd(c *gin.Context) error {
	var req api.GitAddRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	return s.git.Add(c.Request.Context(), req.Path, req.Files)
}

// gitCommit handles POST /git/commit.
func (s *Server) gitCommit(c *gin.Context) error {
	var req api.GitCommitRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	hash, err := s.git.Commit(c.Request.Context(), git.CommitSpec{
		Path: req.Path, Message: req.Message, Author: req.Author, Email: req.Email, AllowEmpty: req.AllowEmpty,
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, api.GitCommitResponse{Hash: hash})
	return nil
}

// gitBranches handles GET /git/branches.
func (s *Server) gitBranches(c *gin.Context) error {
	path, err := need(c, "path")
	if err != nil {
		return err
	}
	b, err := s.git.Branches(c.Request.Context(), path)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, api.GitBranches{Branches: b.Names, Current: b.Current})
	return nil
}

// gitCreateBranch handles POST /git/branches: the branch is checked out too, as clients expect.
func (s *Server) gitCreateBranch(c *gin.Context) error {
	var req api.GitBranchRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	c.Status(http.StatusCreated)
	return s.git.CreateBranch(c.Request.Context(), req.Path, req.Name)
}

// gitDeleteBranch handles DELETE /git/branches, whose body says which.
func (s *Server) gitDeleteBranch(c *gin.Context) error {
	var req api.GitBranchRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return s.git.DeleteBranch(c.Request.Context(), req.Path, req.Name)
}

// gitCheckout handles POST /git/checkout.
func (s *Server) gitCheckout(c *gin.Context) error {
	var req api.GitCheckoutRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	return s.git.Checkout(c.Request.Context(), req.Path, req.Branch)
}

// gitHistory handles GET /git/history.
func (s *Server) gitHistory(c *gin.Context) error {
	path, err := need(c, "path")
	if err != nil {
		return err
	}
	out := newListing(c, "[", "]")
	return out.end(s.git.History(c.Request.Context(), path, func(k git.Commit) error {
		return out.add(func(b []byte) []byte {
			b = appendString(append(b, `{"hash":`...), k.Hash)
			b = appendString(append(b, `,"author":`...), k.Author)
			b = appendString(append(b, `,"email":`...), k.Email)
			b = appendString(append(b, `,"message":`...), k.Message)
			b = appendString(append(b, `,"timestamp":`...), k.Time)
			return append(b, '}')
		})
	}))
}

// transferSpec decodes the body of push and pull.
func transferSpec(c *gin.Context) (git.TransferSpec, error) {
	var req api.GitTransferRequest
	err := serve.Decode(c, &req)
	return git.TransferSpec{
		Path: req.Path, Remote: req.Remote, Branch: req.Branch, SetUpstream: req.SetUpstream,
		Credentials: git.Credentials{Username: req.Username, Password: req.Password},
	}, err
}

// gitPush handles POST /git/push.
func (s *Server) gitPush(c *gin.Context) error {
	spec, err := transferSpec(c)
	if err != nil {
		return err
	}
	return s.git.Push(c.Request.Context(), spec)
}

// gitPull handles POST /git/pull.
func (s *Server) gitPull(c *gin.Context) error {
	spec, err := transferSpec(c)
	if err != nil {
		return err
	}
	return s.git.Pull(c.Request.Context(), spec)
}

// gitInit handles POST /git/init.
func (s *Server) gitInit(c *gin.Context) error {
	var req api.GitInitRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	c.Status(http.StatusCreated)
	return s.git.Init(c.Request.Context(), req.Path, req.Bare, req.InitialBranch)
}

// gitReset handles POST /git/reset.
func (s *Server) gitReset(c *gin.Context) error {
	var req api.GitResetRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	return s.git.Reset(c.Request.Context(), git.ResetSpec{Path: req.Path, Mode: req.Mode, Target: req.Target, Files: req.Files})
}

// gitRestore handles POST /git/restore.
func (s *Server) gitRestore(c *gin.Context) error {
	var req api.GitRestoreRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	return s.git.Restore(c.Request.Context(), git.RestoreSpec{
		Path: req.Path, Files: req.Files, Staged: req.Staged, Worktree: req.Worktree, Source: req.Source,
	})
}

// gitRemotes handles GET /git/remotes.
func (s *Server) gitRemotes(c *gin.Context) error {
	path, err := need(c, "path")
	if err != nil {
		return err
	}
	remotes, err := s.git.Remotes(c.Request.Context(), path)
	if err != nil {
		return err
	}
	out := api.GitRemotes{Remotes: make([]api.GitRemote, len(remotes))}
	for i, r := range remotes {
		out.Remotes[i] = api.GitRemote(r)
	}
	c.JSON(http.StatusOK, out)
	return nil
}

// gitAddRemote handles POST /git/remotes.
func (s *Server) gitAddRemote(c *gin.Context) error {
	var req api.GitAddRemoteRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	c.Status(http.StatusCreated)
	return s.git.AddRemote(c.Request.Context(), req.Path, git.Remote{Name: req.Name, URL: req.URL}, req.Fetch, req.Overwrite)
}

// gitConfig handles GET /git/config.
func (s *Server) gitConfig(c *gin.Context) error {
	key, err := need(c, "key")
	if err != nil {
		return err
	}
	value, err := s.git.Config(c.Request.Context(), c.Query("scope"), c.Query("path"), key)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, api.GitConfigResponse{Value: value})
	return nil
}

// gitSetConfig handles POST /git/config.
func (s *Server) gitSetConfig(c *gin.Context) error {
	var req api.GitSetConfigRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	return s.git.SetConfig(c.Request.Context(), req.Scope, req.Path, [2]string{req.Key, *req.Value})
}

// gitConfigureUser handles POST /git/config/user.
func (s *Server) gitConfigureUser(c *gin.Context) error {
	var req api.GitConfigureUserRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	return s.git.SetConfig(c.Request.Context(), req.Scope, req.Path, [2]string{"user.name", req.Name}, [2]string{"user.email", req.Email})
}

// gitCredentials handles POST /git/credentials.
func (s *Server) gitCredentials(c *gin.Context) error {
	var req api.GitAuthenticateRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	return s.git.StoreCredentials(c.Request.Context(), req.Protocol, req.Host, git.Credentials{Username: req.Username, Password: req.Password})
}
