package page

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Config says how the pages may be used.
type Config struct {
	// FrameAncestors lists the origins that may show the pages in a frame, for example "https://lms.example.edu" or
	// "https://*.example.edu"; "'self'" stands for this node. Empty: nobody may.
	FrameAncestors []string
}

// Validate names the first value that no browser would understand.
func (c Config) Validate() error {
	for _, ancestor := range c.FrameAncestors {
		if err := checkAncestor(ancestor); err != nil {
			return fmt.Errorf("frame ancestor %q %w", ancestor, err)
		}
	}
	return nil
}

// checkAncestor accepts 'self' and http origins. The value ends up inside a header, so it is held to the letters that
// an origin is made of.
func checkAncestor(ancestor string) error {
	if ancestor == "'self'" {
		return nil
	}
	origin, err := url.Parse(strings.Replace(ancestor, "://*.", "://any.", 1))
	if err != nil || origin.Host == "" || (origin.Scheme != "https" && origin.Scheme != "http") {
		return errors.New("is no origin: write it as https://lms.example.edu")
	}
	if origin.Path != "" || origin.RawQuery != "" || origin.Fragment != "" || origin.User != nil {
		return fmt.Errorf("has more than scheme, host and port: write it as %s://%s", origin.Scheme, origin.Host)
	}
	if strings.ContainsAny(strings.Replace(ancestor, "://*.", "://", 1), " \t\r\n;,'\"*") {
		return errors.New("contains a character that an origin cannot have")
	}
	return nil
}
