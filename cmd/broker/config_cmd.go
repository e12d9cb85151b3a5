package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"example.com/broker/config"
)

// settings are the flags that say where the configuration is, and those that are part of it.
type settings struct {
	path string
	keys []string
}

func (s *settings) file(flags *pflag.FlagSet) {
	flags.StringVarP(&s.path, "config", "c", "", "configuration file (default "+config.FileName+" if there is one)")
}

// key makes the flag of a configuration key: --ops-listen for ops.listen.
func (s *settings) key(cmd *cobra.Command, key, usage string) {
	s.keys = append(s.keys, key)
	cmd.Flags().String(flagOf(key), "", usage)
}

func flagOf(key string) string { return strings.NewReplacer(".", "-", "_", "-").Replace(key) }

// options is what to load for a command line.
func (s *settings) options(cmd *cobra.Command) config.LoadOptions {
	flags := map[string]string{}
	for _, key := range s.keys {
		if f := cmd.Flags().Lookup(flagOf(key)); f.Changed {
			flags[key] = f.Value.String()
		}
	}
	return config.LoadOptions{File: config.FindFile(s.path), Flags: flags, Environ: os.Environ()}
}

func newConfigCommand() *cobra.Command {
	return group("config", "Check and show the configuration", newConfigValidate(), newConfigPrint())
}

func newConfigValidate() *cobra.Command {
	s := &settings{}
	cmd := &cobra.Command{
		Use: "validate", Short: "List everything wrong with the configuration of serve", Args: arguments(),
		Long: "List everything wrong with the configuration of `broker serve` on stderr. The exit code is 2 if there is anything but warnings.",
	}
	s.file(cmd.Flags())
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_, _, problems := config.Check(s.options(cmd))
		if *f == formatJSON {
			if problems == nil {
				problems = []config.Problem{}
			}
			if err := f.print(cmd.OutOrStdout(), problems, nil, nil); err != nil {
				return err
			}
		}
		if config.Failed(problems) {
			return &configError{problems}
		}
		return config.Print(cmd.ErrOrStderr(), problems)
	}
	return cmd
}

func newConfigPrint() *cobra.Command {
	s := &settings{}
	sources := false
	cmd := &cobra.Command{
		Use: "print", Short: "Print what is in effect, without secrets", Args: arguments(),
		Long: "Print the configuration in effect as YAML, without secrets. With --sources each line says where its value came from.",
	}
	s.file(cmd.Flags())
	cmd.Flags().BoolVar(&sources, "sources", false, "say where each value came from")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, at, problems := config.Check(s.options(cmd))
		if err := config.Write(cmd.OutOrStdout(), cfg, at, sources); err != nil {
			return err
		}
		if config.Failed(problems) {
			return &configError{problems}
		}
		return nil
	}
	return cmd
}
