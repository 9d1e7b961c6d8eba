package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func configCommand(set *settings) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print every setting, its value and where that is from; secrets are hidden",
		Long:  "Prints every setting, its value and where that is from; secrets are hidden.\n" + localHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, found, err := set.config()
			if err != nil {
				return err
			}
			return printConfig(cmd.OutOrStdout(), found, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printConfig(w io.Writer, found map[string]source, asJSON bool) error {
	type line struct {
		Name   string `json:"name"`
		Value  string `json:"value"`
		Source string `json:"source"`
		Env    string `json:"env"`
		Usage  string `json:"usage"`
	}
	var lines []line
	for _, st := range table {
		v, ok := found[st.name]
		if !ok {
			v = source{"", "not set"}
		}
		if st.secret && v.text != "" || st.name == "sandbox_env" && v.text != "" {
			v.text = "***" // addresses of proxies may have passwords
		}
		lines = append(lines, line{st.name, v.text, v.from, envName(st.name), st.usage})
	}
	if asJSON {
		return json.NewEncoder(w).Encode(lines)
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "SETTING\tVALUE\tSOURCE") // Flush returns the errors
	for _, l := range lines {
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\n", l.Name, l.Value, l.Source)
	}
	return tw.Flush()
}
