package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"lyceum/cmd/node"
)

func newKeys() *cobra.Command {
	cmd := &cobra.Command{
		Use: "keys", Short: "Change the key of gossip while all nodes run",
		Long: "Change the key of gossip while all nodes run: add a key, use it when all understand it, remove the old one.\n" +
			"Then put the file of the new key in the place of gossip.key on every node, for those that begin without a cache.",
	}
	admin := adminFlag(cmd)
	change := func(use, short, method, path string) *cobra.Command {
		return &cobra.Command{Use: use + " KEY", Short: short, Args: named("KEY"), RunE: func(cmd *cobra.Command, args []string) error {
			var list node.KeyList
			if err := admin.call(cmd.Context(), method, "/v1/keys/"+url.PathEscape(args[0])+path, nil, &list); err != nil {
				return err
			}
			return writeKeys(cmd.OutOrStdout(), list)
		}}
	}
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List the keys that are understood, by their ids", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list node.KeyList
			if err := admin.call(cmd.Context(), http.MethodGet, "/v1/keys", nil, &list); err != nil {
				return err
			}
			return writeKeys(cmd.OutOrStdout(), list)
		},
	}, &cobra.Command{
		Use: "add FILE", Short: "Have all nodes understand the key in a file, which is made if it does not exist", Args: named("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := readOrMakeKey(args[0])
			if err != nil {
				return err
			}
			var list node.KeyList
			if err := admin.call(cmd.Context(), http.MethodPost, "/v1/keys", node.NewKey{Key: key}, &list); err != nil {
				return err
			}
			return writeKeys(cmd.OutOrStdout(), list)
		},
	}, change("use", "Encrypt gossip with a key that all nodes understand", http.MethodPost, "/use"),
		change("remove", "Understand a key no more", http.MethodDelete, ""))
	group(cmd)
	return cmd
}

// readOrMakeKey reads a file of lyceum pki init, or makes one.
func readOrMakeKey(path string) ([]byte, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // never fails
		return secret, writeNew(path, []byte(base64.StdEncoding.EncodeToString(secret)+"\n"), 0o600)
	}
	return node.ReadGossipKey(path)
}

func writeKeys(out io.Writer, list node.KeyList) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tSTATE\tNOT YET AT")
	for _, k := range list.Keys {
		state := "understood"
		if k.Used {
			state = "used"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", k.ID, state, orDash(strings.Join(k.Missing, " ")))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if used := list.Keys[0].ID; list.Agreed && list.File != used {
		fmt.Fprintf(out, "The file gossip.key of this node still has key %s; a node without a cache begins with its file.\n", list.File)
	}
	return nil
}
