package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lyceum/cmd/node"
	"lyceum/routing/directory"
)

// backupTimeout bounds the transfer and the restoring of a backup; a node gives a restore 50 s.
const backupTimeout = time.Minute

func newDirectory() *cobra.Command {
	cmd := &cobra.Command{Use: "directory", Short: "Back up the directory of rooms, restore it, recover from a lost majority"}
	admin := adminFlag(cmd)
	snapshot := &cobra.Command{
		Use: "snapshot FILE", Short: "Write a backup of all rooms from a running node", Args: named("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, header, err := admin.send(cmd.Context(), backupTimeout, http.MethodGet, "/v1/directory/snapshot", nil)
			if err != nil {
				return err
			}
			head, _, _ := bytes.Cut(text, []byte("\n"))
			var info directory.BackupInfo
			if err := json.Unmarshal(head, &info); err != nil {
				return fmt.Errorf("the node's answer is no backup: %w", err)
			}
			if err := writeNew(args[0], text, 0o600); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s has the %d rooms of cluster %s.\n", args[0], info.Rooms, info.Cluster)
			if header.Get("Lyceum-Consistent") != "true" {
				fmt.Fprintln(cmd.OutOrStdout(), "The directory has no leader: these are the rooms that this node knows, and others may know of later ones.")
			}
			return nil
		},
	}
	cmd.AddCommand(snapshot, newRestore(admin), newRecover())
	group(cmd)
	return cmd
}

func newRestore(admin *adminClient) *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Open the rooms of a backup that are not open",
		Long: "Open the rooms of a backup that are not open, in a running cluster. Rooms that are open stay as they are.\n" +
			"With --config, lay the backup into the empty folder of a node that does not run; it restores it when it starts.",
		Args: named("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := os.ReadFile(args[0])
			if err != nil {
				return fmt.Errorf("read the backup: %w", err)
			}
			if config != "" {
				dir, err := folderOf(config)
				if err != nil {
					return err
				}
				info, err := directory.RestoreFolder(dir, bytes.NewReader(text))
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "Node %s will restore %d rooms when it has started and the directory has a leader.\n", dir.Node, info.Rooms)
				return nil
			}
			answer, _, err := admin.send(cmd.Context(), backupTimeout, http.MethodPost, "/v1/directory/restore", bytes.NewReader(text))
			if err != nil {
				return err
			}
			var r node.RestoreReport
			if err := json.Unmarshal(answer, &r); err != nil {
				return fmt.Errorf("read the node's answer: %w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d of the backup's %d rooms were missing and are open again.\n", r.Restored, r.Backup.Rooms)
			return nil
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "the configuration of a node that does not run")
	return cmd
}

func newRecover() *cobra.Command {
	var config string
	var with []string
	cmd := &cobra.Command{
		Use: "recover --config FILE [--with NODE,...]", Short: "Go on without a majority that is lost for good, on a node that does not run",
		Long: "Make this node, and those named by --with, the only ones that take part in the directory. For when most voters are\n" +
			"lost for good. With --with, do it on each of them with the same set before one is started. Nodes with an old log are\n" +
			"not let in afterwards: move their data folders away first.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := folderOf(config)
			if err != nil {
				return err
			}
			voters := []string{dir.Node}
			for _, id := range with {
				if id != dir.Node {
					voters = append(voters, id)
				}
			}
			got, err := directory.Recover(dir, voters)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d rooms are saved, up to entry %d of the log. Those that take part are now: %s. Start the node.\n",
				got.Rooms, got.Index, strings.Join(got.Voters, ", "))
			return nil
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "the node's configuration file (YAML)")
	cmd.Flags().StringSliceVar(&with, "with", nil, "other nodes that have survived")
	_ = cmd.MarkFlagRequired("config") // the flag exists
	return cmd
}

// folderOf is the directory of the node that a configuration file is of.
func folderOf(path string) (directory.Config, error) {
	cfg, err := load(path, os.Environ(), nil)
	if err != nil {
		return directory.Config{}, err
	}
	return node.DirectoryFolder(cfg, newLogger(os.Stderr, cfg.Log))
}
