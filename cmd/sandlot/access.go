package main

import (
	"errors"

	"github.com/sandlot-dev/sandlot/cli"
)

// localHelp says which server the verbs of one machine work on.
const localHelp = "It is about the server of the data folder (--data, SANDLOT_DATA) alone: " +
	"DAYTONA_API_URL and DAYTONA_API_KEY are not looked at."

// localAccess returns how to reach the server of the data folder: what the server itself says while it runs, else the
// settings.
func localAccess(set *settings) (cli.Access, error) {
	cfg, _, err := set.config()
	if err != nil {
		return cli.Access{}, err
	}
	s, running, err := readState(cfg.Data)
	if err != nil {
		return cli.Access{}, err
	}
	a := cli.Access{URL: cfg.APIURL, Key: cfg.APIKey, Dashboard: dashboardURL(cfg), Data: cfg.Data}
	if s.APIURL != "" {
		a.URL, a.Dashboard = s.APIURL, s.Dashboard
	}
	if running || a.Key == "" {
		k, err := readKeys(&cfg)
		if err != nil {
			return cli.Access{}, err
		}
		a.Key = k.API
	}
	return a, nil
}

// access returns the server that the environment names, in the variables of the published clients, else the server of
// this machine. The key of this machine's server is sent to no other server.
func access(set *settings, getenv func(string) string) (cli.Access, error) {
	url, key := getenv("DAYTONA_API_URL"), getenv("DAYTONA_API_KEY")
	switch {
	case url != "" && key != "":
		return cli.Access{URL: url, Key: key}, nil
	case url != "":
		return cli.Access{}, errors.New("DAYTONA_API_URL is set and DAYTONA_API_KEY is not: " +
			"set the key too, or unset both for the server of this machine")
	}
	a, err := localAccess(set)
	if err == nil && key != "" {
		a.Key = key
	}
	return a, err
}
