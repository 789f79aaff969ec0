package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"lyceum/mesh/pki"
	"lyceum/routing/ticket"
)

// The files of a cluster's secrets in the folder of lyceum pki.
const (
	authorityCert = "ca.pem"
	authorityKey  = "ca.key"
	gossipKey     = "gossip.key"
	tokenKeys     = "tokens.pem"
)

func newPKI() *cobra.Command {
	cmd := &cobra.Command{Use: "pki", Short: "Make a cluster's secrets and its nodes' certificates"}
	var cluster string
	var life time.Duration
	initCmd := &cobra.Command{
		Use:   "init DIR --cluster NAME",
		Short: "Make a cluster's authority, gossip key and token keys",
		Long: "Make the secrets of a new cluster in DIR: ca.pem and ca.key (the authority; keep ca.key off the nodes),\n" +
			"gossip.key and tokens.pem (the same on every node).",
		Args: named("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := initPKI(args[0], cluster); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The secrets of cluster %s are in %s. Next: lyceum pki issue %s NODE\n",
				cluster, args[0], args[0])
			return nil
		},
	}
	initCmd.Flags().StringVar(&cluster, "cluster", "", "the cluster's name")
	_ = initCmd.MarkFlagRequired("cluster")
	issue := &cobra.Command{
		Use:   "issue DIR NODE",
		Short: "Make a node's key and certificate, NODE.key and NODE.pem",
		Args:  named("DIR", "NODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := issuePKI(args[0], args[1], life); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s now holds %s.pem and %s.key.\n", args[0], args[1], args[1])
			return nil
		},
	}
	issue.Flags().DurationVar(&life, "for", 365*24*time.Hour, "how long the certificate is valid")
	cmd.AddCommand(initCmd, issue)
	group(cmd)
	return cmd
}

// initPKI makes the secrets of a cluster. It never overwrites a file.
func initPKI(dir, cluster string) error {
	authority, err := pki.NewAuthority(cluster, 0)
	if err != nil {
		return fmt.Errorf("make the authority of cluster %q: %w", cluster, err)
	}
	cert, key := authority.PEM()
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	tokens, err := ticket.GenerateKey()
	if err != nil {
		return fmt.Errorf("make a token key: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder for the secrets: %w", err)
	}
	return errors.Join(
		writeNew(filepath.Join(dir, authorityCert), cert, 0o644),
		writeNew(filepath.Join(dir, authorityKey), key, 0o600),
		writeNew(filepath.Join(dir, gossipKey), []byte(base64.StdEncoding.EncodeToString(secret)+"\n"), 0o600),
		writeNew(filepath.Join(dir, tokenKeys), tokens, 0o600),
	)
}

// issuePKI makes a node's certificate with the authority in a folder. It never overwrites a file.
func issuePKI(dir, name string, life time.Duration) error {
	cert, err := os.ReadFile(filepath.Join(dir, authorityCert))
	if err != nil {
		return fmt.Errorf("read the authority (lyceum pki init makes one): %w", err)
	}
	key, err := os.ReadFile(filepath.Join(dir, authorityKey))
	if err != nil {
		return fmt.Errorf("read the authority's key: %w", err)
	}
	authority, err := pki.LoadAuthority(cert, key)
	if err != nil {
		return fmt.Errorf("load the authority in %s: %w", dir, err)
	}
	nodeCert, nodeKey, err := authority.Issue(name, life)
	if err != nil {
		return fmt.Errorf("issue a certificate for %q: %w", name, err)
	}
	return errors.Join(
		writeNew(filepath.Join(dir, name+".pem"), nodeCert, 0o644),
		writeNew(filepath.Join(dir, name+".key"), nodeKey, 0o600),
	)
}

func writeNew(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists; move it away if it is not needed any more", path)
	}
	if err != nil {
		return fmt.Errorf("write a secret: %w", err)
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
