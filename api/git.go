package api

// GitCloneRequest is the body of POST /git/clone.
type GitCloneRequest struct {
	URL             string `json:"url" binding:"required"`
	Path            string `json:"path" binding:"required"`
	Branch          string `json:"branch"`
	CommitID        string `json:"commit_id"`
	Username        string `json:"username"`
	Password        string `json:"password"`
	InsecureSkipTLS bool   `json:"insecure_skip_tls"`
	Depth           int    `json:"depth"` // commits; 0 is all
}

// GitStatus answers GET /git/status. CurrentBranch is "HEAD" when detached.
type GitStatus struct {
	CurrentBranch   string          `json:"currentBranch"`
	FileStatus      []GitFileStatus `json:"fileStatus"`
	BranchPublished bool            `json:"branchPublished"` // it has an upstream
	Ahead           int             `json:"ahead"`
	Behind          int             `json:"behind"`
	Detached        bool            `json:"detached"`
	Upstream        string          `json:"upstream"` // such as origin/main
}

// GitFileStatus is one changed file. Extra is the former name of a renamed one.
type GitFileStatus struct {
	Name     string `json:"name"`
	Extra    string `json:"extra"`
	Staging  string `json:"staging"`
	Worktree string `json:"worktree"`
}

// GitAddRequest is the body of POST /git/add.
type GitAddRequest struct {
	Path  string   `json:"path" binding:"required"`
	Files []string `json:"files" binding:"required"` // "." is all
}

// GitCommitRequest is the body of POST /git/commit.
type GitCommitRequest struct {
	Path       string `json:"path" binding:"required"`
	Message    string `json:"message" binding:"required"`
	Author     string `json:"author" binding:"required"`
	Email      string `json:"email" binding:"required"`
	AllowEmpty bool   `json:"allow_empty"`
}

// GitCommitResponse answers POST /git/commit.
type GitCommitResponse struct {
	Hash string `json:"hash"`
}

// GitBranches answers GET /git/branches. Current is "" when HEAD is detached.
type GitBranches struct {
	Branches []string `json:"branches"`
	Current  string   `json:"current"`
}

// GitBranchRequest is the body of POST and DELETE /git/branches.
type GitBranchRequest struct {
	Path string `json:"path" binding:"required"`
	Name string `json:"name" binding:"required"`
}

// GitCheckoutRequest is the body of POST /git/checkout.
type GitCheckoutRequest struct {
	Path   string `json:"path" binding:"required"`
	Branch string `json:"branch" binding:"required"`
}

// GitCommitInfo is one commit of GET /git/history.
type GitCommitInfo struct {
	Hash      string `json:"hash"`
	Author    string `json:"author"`
	Email     string `json:"email"`
	Message   string `json:"message"`
	Timestamp string `json:"timestamp"` // of the author, RFC 3339
}

// GitTransferRequest is the body of POST /git/push and POST /git/pull.
type GitTransferRequest struct {
	Path        string `json:"path" binding:"required"`
	Username    string `json:"username"`
	Password    string `json:"password"`
	Branch      string `json:"branch"`
	Remote      string `json:"remote"`
	SetUpstream bool   `json:"set_upstream"` // of push alone
}

// GitInitRequest is the body of POST /git/init.
type GitInitRequest struct {
	Path          string `json:"path" binding:"required"`
	Bare          bool   `json:"bare"`
	InitialBranch string `json:"initial_branch"`
}

// GitResetRequest is the body of POST /git/reset.
type GitResetRequest struct {
	Path   string   `json:"path" binding:"required"`
	Mode   string   `json:"mode"`   // soft, mixed, hard, merge, keep; "" is mixed
	Target string   `json:"target"` // "" is HEAD
	Files  []string `json:"files"`
}

// GitRestoreRequest is the body of POST /git/restore.
type GitRestoreRequest struct {
	Path     string   `json:"path" binding:"required"`
	Files    []string `json:"files" binding:"required"`
	Staged   bool     `json:"staged"`
	Worktree bool     `json:"worktree"`
	Source   string   `json:"source"`
}

// GitRemotes answers GET /git/remotes.
type GitRemotes struct {
	Remotes []GitRemote `json:"remotes"`
}

// GitRemote is a remote repository's name and address.
type GitRemote struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// GitAddRemoteRequest is the body of POST /git/remotes.
type GitAddRemoteRequest struct {
	Path      string `json:"path" binding:"required"`
	Name      string `json:"name" binding:"required"`
	URL       string `json:"url" binding:"required"`
	Fetch     bool   `json:"fetch"`
	Overwrite bool   `json:"overwrite"`
}

// GitConfigResponse answers GET /git/config.
type GitConfigResponse struct {
	Value *string `json:"value"` // null when the key is not set
}

// GitSetConfigRequest is the body of POST /git/config. Scope is global ("" too), local or system.
type GitSetConfigRequest struct {
	Key   string  `json:"key" binding:"required"`
	Value *string `json:"value" binding:"required"` // may be ""
	Scope string  `json:"scope"`
	Path  string  `json:"path"` // required for scope local
}

// GitConfigureUserRequest is the body of POST /git/config/user.
type GitConfigureUserRequest struct {
	Name  string `json:"name" binding:"required"`
	Email string `json:"email" binding:"required"`
	Scope string `json:"scope"`
	Path  string `json:"path"`
}

// GitAuthenticateRequest is the body of POST /git/credentials, which stores them in plain text.
type GitAuthenticateRequest struct {
	Username string `json:"username" binding:"required"`
	Password string `json:"password" binding:"required"`
	Host     string `json:"host"`     // "" is github.com
	Protocol string `json:"protocol"` // "" is https
}
