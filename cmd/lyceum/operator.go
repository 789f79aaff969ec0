package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lyceum/cmd/node"
)

func newNodes() *cobra.Command {
	cmd := &cobra.Command{Use: "nodes", Short: "Show the nodes of the mesh, as one of them sees it", Args: cobra.NoArgs}
	admin := adminFlag(cmd)
	routes := cmd.Flags().Bool("routes", false, "show how tracks go from region to region instead")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *routes {
			var list node.RouteList
			if err := admin.call(cmd.Context(), http.MethodGet, "/v1/routes", nil, &list); err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), routesText(list))
			return nil
		}
		var list node.NodeList
		if err := admin.call(cmd.Context(), http.MethodGet, "/v1/nodes", nil, &list); err != nil {
			return err
		}
		var b strings.Builder
		writeNodes(&b, list)
		fmt.Fprint(cmd.OutOrStdout(), b.String())
		return nil
	}
	cmd.AddCommand(&cobra.Command{
		Use: "remove NODE", Short: "Make the directory do without a node that is gone for good", Args: named("NODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := admin.call(cmd.Context(), http.MethodDelete, "/v1/nodes/"+url.PathEscape(args[0]), nil, nil); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The directory does without %s.\n", args[0])
			return nil
		},
	})
	return cmd
}

// routesText says in words how tracks go from region to region.
func routesText(list node.RouteList) string {
	if len(list.Routes) == 0 {
		return "No way between two regions is measured yet; tracks go directly.\n"
	}
	var b strings.Builder
	for _, r := range list.Routes {
		fmt.Fprintln(&b, r)
	}
	return b.String()
}

func newTree() *cobra.Command {
	cmd := &cobra.Command{Use: "tree ROOM", Short: "Show how a room's tracks reach its students", Args: named("ROOM")}
	admin := adminFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var t node.Tree
		err := admin.call(cmd.Context(), http.MethodGet, "/v1/rooms/"+url.PathEscape(args[0])+"/tree", nil, &t)
		if err != nil {
			return err
		}
		var b strings.Builder
		writeTree(&b, t)
		fmt.Fprint(cmd.OutOrStdout(), b.String())
		return nil
	}
	return cmd
}

func newRoom() *cobra.Command {
	cmd := &cobra.Command{Use: "room", Short: "Open, list, show and close rooms"}
	admin := adminFlag(cmd)
	var title string
	open := &cobra.Command{
		Use: "open ROOM", Short: "Open a room", Args: named("ROOM"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var room node.RoomInfo
			err := admin.call(cmd.Context(), http.MethodPost, "/v1/rooms", node.NewRoom{Name: args[0], Title: title}, &room)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Room %s is open.\n", room.Name)
			return nil
		},
	}
	open.Flags().StringVar(&title, "title", "", "the title that people see")
	var consistent bool
	list := &cobra.Command{
		Use: "list", Short: "List the rooms", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var rooms node.RoomList
			path := "/v1/rooms"
			if consistent {
				path += "?consistent"
			}
			if err := admin.call(cmd.Context(), http.MethodGet, path, nil, &rooms); err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "ROOM\tHOME\tEPOCH\tOPENED\tTITLE")
			for _, r := range rooms.Rooms {
				fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", r.Name, orDash(r.Home), r.Epoch, r.Opened.Format(time.DateTime), r.Title)
			}
			return w.Flush()
		},
	}
	list.Flags().BoolVar(&consistent, "consistent", false, "ask the directory's leader too, so that nothing decided before is missing")
	show := &cobra.Command{
		Use: "show ROOM", Short: "Show a room", Args: named("ROOM"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var r node.RoomInfo
			if err := admin.call(cmd.Context(), http.MethodGet, "/v1/rooms/"+url.PathEscape(args[0]), nil, &r); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "room      %s\ntitle     %s\nhome      %s\nepoch     %d\nopened    %s\nlive      %t\nstudents  %d\n",
				r.Name, orDash(r.Title), orDash(r.Home), r.Epoch, r.Opened.Format(time.DateTime), r.Live, r.Students)
			return nil
		},
	}
	closeCmd := &cobra.Command{
		Use: "close ROOM", Short: "Close a room and end its class", Args: named("ROOM"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := admin.call(cmd.Context(), http.MethodDelete, "/v1/rooms/"+url.PathEscape(args[0]), nil, nil); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Room %s is closed.\n", args[0])
			return nil
		},
	}
	cmd.AddCommand(open, list, show, closeCmd)
	group(cmd)
	return cmd
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
