package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// adminClient speaks to a node's admin listener.
type adminClient struct{ base string }

const (
	adminTimeout = 15 * time.Second // a node gives the directory 10 s to decide
	adminMax     = 64 << 20         // the rooms of a directory of 100,000
)

func adminFlag(cmd *cobra.Command) *adminClient {
	a := &adminClient{}
	cmd.PersistentFlags().StringVar(&a.base, "admin", "http://127.0.0.1:7701", "a node's admin listener")
	return a
}

// call sends a request and decodes the JSON answer into out. An error carries the node's own sentence.
func (a *adminClient) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	text, _, err := a.send(ctx, adminTimeout, method, path, body)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("read the answer of %s: %w", a.base, err)
	}
	return nil
}

// send sends a request and returns the answer as it came.
func (a *adminClient) send(ctx context.Context, within time.Duration, method, path string, body io.Reader) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	rq, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(a.base, "/")+path, body)
	if err != nil {
		return nil, nil, fmt.Errorf("the admin listener %q: %w", a.base, err)
	}
	rsp, err := http.DefaultClient.Do(rq)
	if err != nil {
		return nil, nil, fmt.Errorf("no answer from the admin listener %s (is the node up? --admin names another): %w", a.base, err)
	}
	defer rsp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(rsp.Body, adminMax))
	if err != nil {
		return nil, nil, fmt.Errorf("read the answer of %s: %w", a.base, err)
	}
	if rsp.StatusCode >= 300 {
		var problem struct{ Detail string }
		if json.Unmarshal(text, &problem) == nil && problem.Detail != "" {
			return nil, nil, errors.New(problem.Detail)
		}
		return nil, nil, fmt.Errorf("%s answered %s", a.base, rsp.Status)
	}
	return text, rsp.Header, nil
}
