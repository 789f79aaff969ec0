package main

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lyceum/routing/ticket"
)

func newToken() *cobra.Command {
	var cluster, keys, room, role, name, subject string
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "token --cluster NAME --keys FILE --room ROOM --role ROLE",
		Short: "Sign an access token for a person or a class",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if life <= 0 || life > seatLife {
				return fmt.Errorf("--for %v: a token is valid for at most %v, because it cannot be taken back", life, seatLife)
			}
			k, err := ticket.LoadKeys(cluster, keys)
			if err != nil {
				return err
			}
			if subject == "" {
				subject = role + "-" + strings.ToLower(rand.Text()[:8])
			}
			if !ticket.Role(role).Valid() {
				return fmt.Errorf("--role %q is no role; use teacher, assistant, student, observer, recorder or admin", role)
			}
			raw, err := k.SignToken(ticket.Token{
				Subject: subject, Name: name, Room: room, Role: ticket.Role(role),
				Expires: time.Now().Add(life),
			})
			if err != nil {
				return fmt.Errorf("sign a token: %w", err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), raw)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&cluster, "cluster", "", "the cluster's name")
	f.StringVar(&keys, "keys", "", "the cluster's token keys (tokens.pem of lyceum pki init)")
	f.StringVar(&room, "room", "", "the room, or * for any")
	f.StringVar(&role, "role", "student", "teacher, assistant, student, observer, recorder or admin")
	f.StringVar(&name, "name", "", "the person's name as others see it")
	f.StringVar(&subject, "subject", "", "the person's stable id; empty makes one up")
	f.DurationVar(&life, "for", 12*time.Hour, "how long the token is valid, at most 24h")
	for _, required := range []string{"cluster", "keys", "room"} {
		_ = cmd.MarkFlagRequired(required)
	}
	return cmd
}
