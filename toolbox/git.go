package toolbox

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/workspace/git"
)

// gitAPI serves /git.
type gitAPI struct {
	repositories *git.Manager
}

var gitRoutes = []serve.Route[*gitAPI]{
	{Method: "POST", Path: "/git/add", Summary: "Stage files", In: api.GitAddRequest{}, Do: (*gitAPI).add},
	{
		Method: "DELETE", Path: "/git/branches", Status: 204,
		Summary: "Delete a branch", In: api.GitBranchRequest{}, Do: (*gitAPI).deleteBranch,
	},
	{
		Method: "GET", Path: "/git/branches", Query: []string{"path"},
		Summary: "List local branches", Out: api.GitBranches{}, Do: (*gitAPI).branches,
	},
	{
		Method: "POST", Path: "/git/branches", Status: 201,
		Summary: "Make a branch and check it out", In: api.GitBranchRequest{}, Do: (*gitAPI).createBranch,
	},
	{
		Method: "POST", Path: "/git/checkout",
		Summary: "Check out a branch or revision", In: api.GitCheckoutRequest{}, Do: (*gitAPI).checkout,
	},
	{Method: "POST", Path: "/git/clone", Summary: "Clone a repository", In: api.GitCloneRequest{}, Do: (*gitAPI).clone},
	{
		Method: "POST", Path: "/git/commit",
		Summary: "Commit what is staged", In: api.GitCommitRequest{}, Out: api.GitCommitResponse{}, Do: (*gitAPI).commit,
	},
	{
		Method: "GET", Path: "/git/config", Query: []string{"key", "path?", "scope?"},
		Summary: "Read a setting of git", Out: api.GitConfigResponse{}, Do: (*gitAPI).config,
	},
	{
		Method: "POST", Path: "/git/config",
		Summary: "Change a setting of git", In: api.GitSetConfigRequest{}, Do: (*gitAPI).setConfig,
	},
	{
		Method: "POST", Path: "/git/config/user",
		Summary: "Set the name and address of commits", In: api.GitConfigureUserRequest{}, Do: (*gitAPI).configureUser,
	},
	{
		Method: "POST", Path: "/git/credentials",
		Summary: "Store credentials for a host in plain text",
		In:      api.GitAuthenticateRequest{}, Do: (*gitAPI).storeCredentials,
	},
	{
		Method: "GET", Path: "/git/history", Query: []string{"path"},
		Summary: "List commits, newest first", Out: []api.GitCommitInfo{}, Do: (*gitAPI).history,
	},
	{
		Method: "POST", Path: "/git/init", Status: 201,
		Summary: "Make a repository", In: api.GitInitRequest{}, Do: (*gitAPI).init,
	},
	{
		Method: "POST", Path: "/git/pull",
		Summary: "Fast-forward to the remote branch", In: api.GitTransferRequest{}, Do: (*gitAPI).pull,
	},
	{
		Method: "POST", Path: "/git/push",
		Summary: "Send a branch to a remote", In: api.GitTransferRequest{}, Do: (*gitAPI).push,
	},
	{
		Method: "GET", Path: "/git/remotes", Query: []string{"path"},
		Summary: "List remotes", Out: api.GitRemotes{}, Do: (*gitAPI).remotes,
	},
	{
		Method: "POST", Path: "/git/remotes", Status: 201,
		Summary: "Add a remote", In: api.GitAddRemoteRequest{}, Do: (*gitAPI).addRemote,
	},
	{
		Method: "POST", Path: "/git/reset",
		Summary: "Reset the branch, index or work tree", In: api.GitResetRequest{}, Do: (*gitAPI).reset,
	},
	{
		Method: "POST", Path: "/git/restore",
		Summary: "Bring files back from index or revision", In: api.GitRestoreRequest{}, Do: (*gitAPI).restore,
	},
	{
		Method: "GET", Path: "/git/status", Query: []string{"path"},
		Summary: "Describe the work tree", Out: api.GitStatus{}, Do: (*gitAPI).status,
	},
}

// clone handles POST /git/clone.
func (a *gitAPI) clone(c *gin.Context) error {
	var req api.GitCloneRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	return a.repositories.Clone(c.Request.Context(), git.CloneSpec{
		URL: req.URL, Path: req.Path, Branch: req.Branch, CommitID: req.CommitID, Depth: req.Depth,
		InsecureSkipTLS: req.InsecureSkipTLS, Credentials: git.Credentials{Username: req.Username, Password: req.Password},
	})
}

// status handles GET /git/status.
func (a *gitAPI) status(c *gin.Context) error {
	path, err := need(c, "path")
	if err != nil {
		return err
	}
	st, err := a.repositories.Status(c.Request.Context(), path)
	if err != nil {
		return err
	}
	out := api.GitStatus{
		CurrentBranch: st.Branch, FileStatus: make([]api.GitFileStatus, len(st.Files)), BranchPublished: st.Upstream != "",
		Ahead: st.Ahead, Behind: st.Behind, Detached: st.Detached, Upstream: st.Upstream,
	}
	for i, f := range st.Files {
		out.FileStatus[i] = api.GitFileStatus{
			Name: f.Name, Extra: f.Old, Staging: string(f.Staging), Worktree: string(f.Worktree),
		}
	}
	c.JSON(http.StatusOK, out)
	return nil
}

// add handles POST /git/add.
func (a *gitAPI) add(c *gin.Context) error {
	var req api.GitAddRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	return a.repositories.Add(c.Request.Context(), req.Path, req.Files)
}

// commit handles POST /git/commit.
func (a *gitAPI) commit(c *gin.Context) error {
	var req api.GitCommitRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	hash, err := a.repositories.Commit(c.Request.Context(), git.CommitSpec{
		Path: req.Path, Message: req.Message, Author: req.Author, Email: req.Email, AllowEmpty: req.AllowEmpty,
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, api.GitCommitResponse{Hash: hash})
	return nil
}

// branches handles GET /git/branches.
func (a *gitAPI) branches(c *gin.Context) error {
	path, err := need(c, "path")
	if err != nil {
		return err
	}
	b, err := a.repositories.Branches(c.Request.Context(), path)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, api.GitBranches{Branches: b.Names, Current: b.Current})
	return nil
}

// createBranch handles POST /git/branches: the branch is checked out too, as clients expect.
func (a *gitAPI) createBranch(c *gin.Context) error {
	var req api.GitBranchRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	c.Status(http.StatusCreated)
	return a.repositories.CreateBranch(c.Request.Context(), req.Path, req.Name)
}

// deleteBranch handles DELETE /git/branches, whose body says which.
func (a *gitAPI) deleteBranch(c *gin.Context) error {
	var req api.GitBranchRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return a.repositories.DeleteBranch(c.Request.Context(), req.Path, req.Name)
}

// checkout handles POST /git/checkout.
func (a *gitAPI) checkout(c *gin.Context) error {
	var req api.GitCheckoutRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	return a.repositories.Checkout(c.Request.Context(), req.Path, req.Branch)
}

// history handles GET /git/history.
func (a *gitAPI) history(c *gin.Context) error {
	path, err := need(c, "path")
	if err != nil {
		return err
	}
	out := newListing(c, "[", "]")
	return out.end(a.repositories.History(c.Request.Context(), path, func(k git.Commit) error {
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

// push handles POST /git/push.
func (a *gitAPI) push(c *gin.Context) error {
	spec, err := transferSpec(c)
	if err != nil {
		return err
	}
	return a.repositories.Push(c.Request.Context(), spec)
}

// pull handles POST /git/pull.
func (a *gitAPI) pull(c *gin.Context) error {
	spec, err := transferSpec(c)
	if err != nil {
		return err
	}
	return a.repositories.Pull(c.Request.Context(), spec)
}

// init handles POST /git/init.
func (a *gitAPI) init(c *gin.Context) error {
	var req api.GitInitRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	c.Status(http.StatusCreated)
	return a.repositories.Init(c.Request.Context(), req.Path, req.Bare, req.InitialBranch)
}

// reset handles POST /git/reset.
func (a *gitAPI) reset(c *gin.Context) error {
	var req api.GitResetRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	return a.repositories.Reset(c.Request.Context(), git.ResetSpec{
		Path: req.Path, Mode: req.Mode, Target: req.Target, Files: req.Files,
	})
}

// restore handles POST /git/restore.
func (a *gitAPI) restore(c *gin.Context) error {
	var req api.GitRestoreRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	return a.repositories.Restore(c.Request.Context(), git.RestoreSpec{
		Path: req.Path, Files: req.Files, Staged: req.Staged, Worktree: req.Worktree, Source: req.Source,
	})
}

// remotes handles GET /git/remotes.
func (a *gitAPI) remotes(c *gin.Context) error {
	path, err := need(c, "path")
	if err != nil {
		return err
	}
	remotes, err := a.repositories.Remotes(c.Request.Context(), path)
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

// addRemote handles POST /git/remotes.
func (a *gitAPI) addRemote(c *gin.Context) error {
	var req api.GitAddRemoteRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	c.Status(http.StatusCreated)
	remote := git.Remote{Name: req.Name, URL: req.URL}
	return a.repositories.AddRemote(c.Request.Context(), req.Path, remote, req.Fetch, req.Overwrite)
}

// config handles GET /git/config.
func (a *gitAPI) config(c *gin.Context) error {
	key, err := need(c, "key")
	if err != nil {
		return err
	}
	value, err := a.repositories.Config(c.Request.Context(), c.Query("scope"), c.Query("path"), key)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, api.GitConfigResponse{Value: value})
	return nil
}

// setConfig handles POST /git/config.
func (a *gitAPI) setConfig(c *gin.Context) error {
	var req api.GitSetConfigRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	return a.repositories.SetConfig(c.Request.Context(), req.Scope, req.Path, [2]string{req.Key, *req.Value})
}

// configureUser handles POST /git/config/user.
func (a *gitAPI) configureUser(c *gin.Context) error {
	var req api.GitConfigureUserRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	return a.repositories.SetConfig(c.Request.Context(), req.Scope, req.Path,
		[2]string{"user.name", req.Name}, [2]string{"user.email", req.Email})
}

// storeCredentials handles POST /git/credentials.
func (a *gitAPI) storeCredentials(c *gin.Context) error {
	var req api.GitAuthenticateRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	credentials := git.Credentials{Username: req.Username, Password: req.Password}
	return a.repositories.StoreCredentials(c.Request.Context(), req.Protocol, req.Host, credentials)
}
