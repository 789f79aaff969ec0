package wish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"lyceum/routing/ticket"
)

// Error is a refusal with the status that tells the client what to do about it. Start, Redirect, Trickle and Restart may
// return one, wrapped or not.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Title is the kind of refusal in a few words; "" means the text that belongs to the status.
	Title string
	// Detail is a sentence for the person in front of the screen.
	Detail string
	// RetryAfter asks the client to wait; 0 says nothing about it.
	RetryAfter time.Duration
	// Location is where the client is to go instead, an absolute URL; it needs a Status of 307.
	Location string

	// challenge is the error code of RFC 6750, section 3.1, for WWW-Authenticate.
	challenge string
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return http.StatusText(e.Status)
	}
	return e.Detail
}

// refuse makes an Error whose detail is a sentence.
func refuse(status int, format string, args ...any) *Error {
	return &Error{Status: status, Detail: fmt.Sprintf(format, args...)}
}

// problemOf chooses the status for every error; nothing else in this package does.
func problemOf(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return refuse(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", e.Limit)
	}
	e := &Error{Detail: err.Error()}
	switch {
	case errors.Is(err, ticket.ErrMissing):
		e.Status = http.StatusUnauthorized
	case errors.Is(err, ticket.ErrMalformed), errors.Is(err, ticket.ErrSignature), errors.Is(err, ticket.ErrExpired),
		errors.Is(err, ticket.ErrEarly), errors.Is(err, ticket.ErrUsed):
		e.Status, e.challenge = http.StatusUnauthorized, "invalid_token"
	case errors.Is(err, ticket.ErrWrongRoom), errors.Is(err, ticket.ErrRole), errors.Is(err, ticket.ErrWrongNode):
		e.Status, e.challenge = http.StatusForbidden, "insufficient_scope"
	case errors.Is(err, ticket.ErrBusy):
		e.Status, e.RetryAfter = http.StatusServiceUnavailable, time.Minute
	case errors.Is(err, ticket.ErrRoomName):
		e.Status = http.StatusNotFound
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		e.Status, e.Detail, e.RetryAfter = http.StatusServiceUnavailable, "the node took too long to answer", 2*time.Second
	default:
		// The text of an unforeseen error is for the log; it may name things that are not the client's business.
		e.Status, e.Detail = http.StatusInternalServerError, "the node met an error of its own"
	}
	return e
}

// write sends the refusal as RFC 9457 has it. Some players read "error" instead of "detail".
func (e *Error) write(w http.ResponseWriter) {
	h := w.Header()
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	if e.Location != "" {
		h.Set("Location", e.Location)
	}
	if e.Status == http.StatusUnauthorized || e.challenge != "" {
		challenge := `Bearer realm="lyceum"`
		if e.challenge != "" {
			challenge += `, error="` + e.challenge + `"`
		}
		h.Set("WWW-Authenticate", challenge)
	}
	title := e.Title
	if title == "" {
		title = http.StatusText(e.Status)
	}
	body, err := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Error  string `json:"error"`
	}{title, e.Status, e.Error(), e.Error()})
	if err != nil {
		body = nil // texts always marshal
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(e.Status)
	_, _ = w.Write(append(body, '\n')) // the client may be gone
}
