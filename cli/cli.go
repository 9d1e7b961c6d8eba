package cli

import (
	"fmt"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sandlot-dev/sandlot/api/client"
)

// Access is how a server is reached.
type Access struct {
	URL       string // of the control API
	Key       string
	Dashboard string // "" where not known
	Data      string // folder of a server on this machine; "" where it is elsewhere
}

// ExitCode is an error that says nothing but with which code to end.
type ExitCode int

// Error implements error.
func (c ExitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// Signal is an error that says nothing but by which signal to end.
type Signal syscall.Signal

// Error implements error.
func (s Signal) Error() string { return "signal " + syscall.Signal(s).String() }

// serverHelp says where the verbs find their server.
const serverHelp = "The server is the one at DAYTONA_API_URL, with the key DAYTONA_API_KEY; " +
	"without these the one of this machine's data folder (--data, SANDLOT_DATA)."

// Commands returns the verbs.
func Commands(access func() (Access, error)) []*cobra.Command {
	connect := func() (*client.Client, error) {
		a, err := access()
		if err != nil {
			return nil, err
		}
		return client.New(a.URL, a.Key), nil
	}
	return []*cobra.Command{runCommand(connect), listCommand(connect), deleteCommand(connect)}
}
